#!/bin/sh
# Start the servers that the examples talk to: Prometheus, a Pushgateway and an Alertmanager, and Grafana with Docker.
#
# They run in containers where a Docker engine answers. Otherwise the programs on the PATH are used, with all that they
# store in the folder .servers. Either way only this machine can reach them. Returns when they are ready;
# stop_prometheus.sh stops them and removes what they stored.
set -eu
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./servers.sh

READY_WITHIN=60 # seconds

main() {
    command -v curl >/dev/null 2>&1 || fail "curl is not on the PATH; this script asks the servers with it if they are ready."
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if any_running; then
        start_programs
    elif has_engine; then
        start_containers
    else
        start_programs
    fi
    trap - EXIT
    show
}

fail() {
    say "$*" >&2
    exit 1
}

any_running() {
    for server in $SERVERS; do
        ! running "$server" >/dev/null || return 0
    done
    return 1
}

port() {
    case $1 in
        prometheus) say 9090 ;;
        pushgateway) say 9091 ;;
        alertmanager) say 9093 ;;
        grafana) say 3000 ;;
    esac
}

# $@: servers. Fails if the port of one is taken, having said so of each.
check_ports() {
    taken=
    for server in "$@"; do
        if is_taken "$(port "$server")"; then
            taken=yes
            report_taken "$server" "$(port "$server")" >&2
        fi
    done
    [ -z "$taken" ] || fail "Nothing was started."
}

# 7 is curl's "could not connect".
is_taken() {
    status=0
    curl --noproxy '*' --silent --output /dev/null --max-time 5 "http://127.0.0.1:$1/" || status=$?
    [ "$status" -ne 7 ]
}

report_taken() {
    holder=$(holder "$2")
    say "Port $2, which $1 needs, is taken by ${holder:-a program of another user, or a container}. Stop it, then run this again."
    for service in "$1" "prometheus-$1"; do
        if systemctl is-active --quiet "$service" 2>/dev/null; then
            say "It may be the system's service: sudo systemctl disable --now $service"
        fi
    done
}

# $1: a port. Prints the container or the process that listens there, as far as can be known.
holder() {
    container=$(docker ps --filter "publish=$1" --format '{{.Names}}' 2>/dev/null || true)
    if [ -n "$container" ]; then
        say "the container $container (docker stop $container)"
    elif command -v ss >/dev/null 2>&1; then
        ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\),.*/\1, process \2/p' | head -n 1
    elif command -v lsof >/dev/null 2>&1; then
        lsof -nP -iTCP:"$1" -sTCP:LISTEN 2>/dev/null | awk 'NR == 2 { print $1 ", process " $2 }'
    fi
}

start_containers() {
    if [ -z "$(compose ps --all --quiet)" ]; then
        # shellcheck disable=SC2086 # one argument a server
        check_ports $SERVERS grafana
        trap remove_containers EXIT
    fi
    compose up --detach --wait --wait-timeout "$READY_WITHIN" || fail "The containers did not start; what they said is above."
    for server in $SERVERS grafana; do
        is_taken "$(port "$server")" || fail "$server runs, but cannot be reached at 127.0.0.1:$(port "$server"): is this" \
            "engine on another machine, or rootless? With DOCKER_HOST=none, programs on the PATH are used instead."
    done
}

remove_containers() {
    compose logs --tail 5 >&2 || true
    compose down --volumes >&2 || true
}

start_programs() {
    missing=
    for server in $SERVERS; do
        running "$server" >/dev/null || missing="$missing $server"
    done
    [ -n "$missing" ] || { say "They run already." && return; }
    for server in $missing; do
        program "$server" >/dev/null || explain_missing "$server"
    done
    # shellcheck disable=SC2086
    check_ports $missing
    was_there=$(any_running && say yes || true)
    started=
    trap end_programs EXIT
    mkdir -p "$STATE"
    for server in $missing; do
        started="$started $server"
        launch "$server"
    done
    for server in $missing; do
        wait_for "$server"
    done
}

# $1: a server. Prints the name of its program: Debian's, or the one that the project itself uses.
program() {
    command -v "prometheus-$1" || command -v "$1"
}

explain_missing() {
    fail "There is no Docker engine with Compose that answers, and $1 is not on the PATH. Install Docker; or, on Debian and
Ubuntu, run $(dirname "$PWD")/scripts/install_servers.sh, which installs the packages prometheus,
prometheus-pushgateway and prometheus-alertmanager, and leaves their services off."
}

launch() {
    case $1 in
        prometheus)
            run "$1" --config.file="$PWD/prometheus/prometheus.yml" --storage.tsdb.path="$STATE/prometheus"
            ;;
        # Debian's build would keep what is pushed under /var/lib.
        pushgateway)
            run "$1" --persistence.file="$STATE/pushgateway"
            ;;
        # Without an address for it, it looks for no others of its kind.
        alertmanager)
            run "$1" --config.file="$PWD/alertmanager/alertmanager.yml" --storage.path="$STATE/alertmanager" \
                --cluster.listen-address=
            ;;
    esac
}

run() {
    server=$1
    shift
    nohup "$(program "$server")" --web.listen-address="127.0.0.1:$(port "$server")" "$@" \
        </dev/null >"$STATE/$server.log" 2>&1 &
    say $! >"$STATE/$server.pid"
}

wait_for() {
    deadline=$(($(date +%s) + READY_WITHIN))
    until curl --noproxy '*' --silent --fail --output /dev/null --max-time 5 "http://127.0.0.1:$(port "$1")/-/ready"; do
        if [ -z "$(command_line "$(cat "$STATE/$1.pid")")" ]; then
            tail -n 5 "$STATE/$1.log" >&2
            fail "$1 ended; what it said last is above."
        fi
        [ "$(date +%s)" -le "$deadline" ] || fail "$1 was not ready within $READY_WITHIN seconds."
        pause
    done
}

# What this call started, and nothing that ran before.
end_programs() {
    for server in $started; do
        end "$server"
        rm -f "$STATE/$server.pid"
    done
    [ -n "$was_there" ] || rm -rf "$STATE"
}

show() {
    say "Prometheus    http://127.0.0.1:9090"
    say "Pushgateway   http://127.0.0.1:9091"
    say "Alertmanager  http://127.0.0.1:9093"
    if any_running; then
        say "Grafana       with Docker only"
        say "Their logs and data are in the folder .servers beside this script."
    else
        say "Grafana       http://127.0.0.1:3000"
    fi
    say "To stop them: ./stop_prometheus.sh"
}

main
