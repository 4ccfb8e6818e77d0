# Read by other scripts: `. apt.sh; own_apt FOLDER TYPE SUITE...` writes a configuration of apt's to FOLDER, names it in
# APT_CONFIG and brings the lists.
#
# Lists and state are the project's own, so that the machine's /etc/apt stays as it is; mirror and keyring are the
# machine's. LIBAV_MIRROR and LIBAV_KEYRING say what to use where the machine has no apt sources of Debian's. apt checks
# the archive's signature and every hash below it, and takes nothing that does not verify.
# shellcheck shell=sh

own_apt() {
    apt=$1 types=$2
    shift 2
    keyring=${LIBAV_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
    mirror=${LIBAV_MIRROR:-}
    # shellcheck disable=SC2016 # the fields are apt's
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
        'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)
    [ -n "$mirror" ] || { echo "no apt source of Debian's here: set LIBAV_MIRROR" >&2; exit 1; }
    [ -r "$keyring" ] || { echo "no keyring $keyring: install debian-archive-keyring, or set LIBAV_KEYRING" >&2; exit 1; }

    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/empty"
    : > "$apt/status"
    cat > "$apt/debian.sources" <<SOURCES
Types: $types
URIs: $mirror
Suites: $*
Components: main
Signed-By: $keyring
SOURCES
    cat > "$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/debian.sources";
Dir::Etc::sourceparts "$apt/empty";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
APT::Sandbox::User "";
CONF
    APT_CONFIG=$apt/apt.conf
    export APT_CONFIG
    apt-get -q update
}
