#!/bin/sh
# Record an inventory of this Debian machine, as its own tools print it.
#
#   sh record.sh [FOLDER]      default: the folder of this script
#
# Writes FOLDER/machine.json and FOLDER/software.csv. Needs lsblk and lscpu (util-linux), ip (iproute2), dpkg-query (dpkg).
# As root it reads the serial number of the machine, otherwise its machine id (or host name) stands in. Nothing is sent.
set -eu

folder=${1:-$(dirname "$0")}
dmi=/sys/class/dmi/id

serial='' kind=system
[ -r $dmi/product_serial ] && serial=$(tr -d '" \\' <$dmi/product_serial)
case $serial in '' | None | NotSpecified | ToBeFilledByO.E.M. | 0) serial='' ;; esac
if [ -z "$serial" ]; then
    serial=$(cat /etc/machine-id 2>/dev/null || true) kind=uuid
fi
if [ -z "$serial" ]; then
    serial=$(uname -n) kind=system
fi

packages() {
    # Installed packages only: dpkg also remembers removed ones whose configuration is still there (status "rc").
    tab=$(printf '\t')
    dpkg-query -W -f='${db:Status-Abbrev}\t{"package": "${Package}", "version": "${Version}", "architecture": "${Architecture}"},\n' |
        sed -n "s/^ii *$tab/    /p" | sed '$ s/,$//'
}

disks() {
    # A container may have no block devices to list.
    lsblk --json --bytes --output NAME,TYPE,SIZE,ROTA,MODEL,SERIAL,TRAN,FSTYPE,MOUNTPOINTS 2>/dev/null ||
        printf '{"blockdevices": []}'
}

os_release() {
    # KEY="value" lines become JSON members.
    sed -n 's/^\([A-Z_]*\)="\{0,1\}\([^"\\]*\)"\{0,1\}$/    "\1": "\2",/p' /etc/os-release | sed '$ s/,$//'
}

{
    printf '{"machines": [{\n'
    printf '  "hostname": "%s",\n' "$(uname -n)"
    printf '  "serial_number": "%s",\n' "$serial"
    printf '  "serial_number_type": "%s",\n' "$kind"
    printf '  "recorded": "%s",\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '  "memory_kib": %s,\n' "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
    printf '  "os_release": {\n%s\n  },\n' "$(os_release)"
    printf '  "lsblk": %s,\n' "$(disks)"
    printf '  "ip": %s,\n' "$(ip -json address)"
    printf '  "lscpu": %s,\n' "$(lscpu --json)"
    printf '  "dpkg": [\n%s\n  ]\n' "$(packages)"
    printf '}]}\n'
} >"$folder/machine.json"

{
    printf 'package,version,architecture,source,section,status,size_kib\n'
    dpkg-query -W -f='${Package},${Version},${Architecture},${source:Package},${Section},${db:Status-Abbrev},${Installed-Size}\n'
} >"$folder/software.csv"
