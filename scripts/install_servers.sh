#!/bin/sh
# Make sure that the programs which tests and examples run against are on the PATH: Prometheus with promtool, the
# Pushgateway, the Alertmanager, and Chromium, which looks at the page. Silent if they are. Otherwise they are installed
# from Debian's or Ubuntu's packages, without starting or enabling the services that these bring, which would listen on
# every network interface.
#
# Where that is not possible, this names what is missing; it fails only in continuous integration (CI=true), since
# elsewhere the tests that need a server are skipped.
set -eu

POLICY=/usr/sbin/policy-rc.d

has() {
    command -v "$1" >/dev/null 2>&1
}

packages_missing() {
    if ! has prometheus || ! has promtool; then echo prometheus; fi
    if ! has prometheus-pushgateway; then echo prometheus-pushgateway; fi
    if ! has prometheus-alertmanager; then echo prometheus-alertmanager; fi
    if ! has chromium; then echo chromium; fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    has apt-get || return 1
    [ "$(id -u)" -eq 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

# invoke-rc.d asks this script before it starts a service; 101 means no. One that is there is somebody else's.
forbid_services() {
    if [ ! -e "$POLICY" ]; then
        trap 'as_root rm -f "$POLICY"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        # shellcheck disable=SC2016 # $0 is for the inner shell
        as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$0" && chmod 755 "$0"' "$POLICY"
    fi
}

# $1: the packages, one a line. They are also the names of their services, where they have any.
install_packages() {
    forbid_services || return 1
    # Word splitting is wanted: each line is an argument.
    # shellcheck disable=SC2086
    as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $1 || return 1
    if has systemctl; then
        # Not running is not enough: nor may they start when the machine does.
        # shellcheck disable=SC2086
        for service in $1; do as_root systemctl disable --quiet "$service" 2>/dev/null || true; done
    fi
}

missing=$(packages_missing)
[ -n "$missing" ] || exit 0

if may_install; then
    install_packages "$missing" >&2 || true
    missing=$(packages_missing)
    [ -n "$missing" ] || exit 0
fi

echo "Not on the PATH: install $(echo "$missing" | paste -s -d ' ' -) (Debian's names) to run what needs these programs." >&2
[ "${CI:-}" != true ]
