# shellcheck shell=sh
# What start_prometheus.sh and stop_prometheus.sh have in common. Both run in the folder that this file is in.

STATE=$(pwd -P)/.servers
# shellcheck disable=SC2034 # it is for both
SERVERS="prometheus pushgateway alertmanager"

say() {
    printf '%s\n' "$*"
}

# Whether there is a Docker engine, or one that answers to its name, with Compose.
has_engine() {
    command -v docker >/dev/null 2>&1 || return 1
    docker compose version >/dev/null 2>&1 && docker version >/dev/null 2>&1
}

# On Linux the containers are in the machine's own network, so that Prometheus reaches examples on loopback. Where Docker
# has a machine of its own, as Docker Desktop does, loopback is that machine's, and compose.desktop.yml builds the bridge.
compose() {
    if [ "$(uname -s)" = Linux ] && [ "$(docker info --format '{{.OperatingSystem}}')" != "Docker Desktop" ]; then
        LISTEN_ON=127.0.0.1 docker compose --file compose.yml "$@"
    else
        LISTEN_ON=0.0.0.0 docker compose --file compose.yml --file compose.desktop.yml "$@"
    fi
}

# $1: a process. Prints its command line; nothing if it is gone, or not yet waited for.
command_line() {
    if [ -d /proc/self ]; then
        tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || true
    else
        ps -o args= -p "$1" 2>/dev/null || true
    fi
}

# $1: a server. Prints its process if it runs: one that has the number of it and our folder in its command line.
running() {
    [ -r "$STATE/$1.pid" ] || return 1
    pid=$(cat "$STATE/$1.pid")
    case $(command_line "$pid") in
        *"$STATE/"*) say "$pid" ;;
        *) return 1 ;;
    esac
}

# $1: a server. Ends it, by force if it has not gone after ten seconds; fails if it is somebody else's.
end() {
    pid=$(running "$1") || return 0
    tries=0
    while running "$1" >/dev/null; do
        signal=TERM
        [ "$tries" -lt 100 ] || signal=KILL
        if [ $((tries % 100)) -eq 0 ] && ! kill -"$signal" "$pid" 2>/dev/null && running "$1" >/dev/null; then
            say "$1, process $pid, cannot be stopped by $(id -un): stop it as who started it." >&2
            return 1
        fi
        tries=$((tries + 1))
        pause
    done
}

pause() {
    sleep 0.1 2>/dev/null || sleep 1
}
