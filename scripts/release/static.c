/* Linked into the one-file release only. The static glibc would load the name service modules that the machine's
 * nsswitch.conf lists, of whatever glibc the machine has: a fault waiting to happen. Files and DNS are built in. */
#include <nss.h>

__attribute__((constructor)) static void built_in_name_services(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}
