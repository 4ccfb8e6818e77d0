/* Linked into the one-file release only. The static glibc would load the name service modules that the machine's
 * nsswitch.conf lists, of whatever glibc the machine has: a fault waiting to happen. Files and DNS are built in.
 *
 * glibc reads nsswitch.conf all the same before it lets itself be told, so it is told at the first name that is looked
 * up (the linker's --wrap): what merges from disk opens no such file. */
#include <netdb.h>
#include <nss.h>
#include <pthread.h>
#include <pwd.h>

int __real_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int __real_getpwuid_r(uid_t, struct passwd *, char *, size_t, struct passwd **);

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void built_in_name_services(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    pthread_once(&once, built_in_name_services);
    return __real_getaddrinfo(node, service, hints, found);
}

int __wrap_getpwuid_r(uid_t user, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    pthread_once(&once, built_in_name_services);
    return __real_getpwuid_r(user, entry, buffer, size, found);
}
