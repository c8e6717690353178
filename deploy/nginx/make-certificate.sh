#!/bin/sh
# make-certificate.sh FOLDER [NAME]: a self-signed certificate, unless there is one already that
# lasts. Only one of its own that is about to end is replaced, another's never.
# Real ones are fullchain.pem and privkey.pem, as ACME clients name them. Runs as root with
# nginx's group, who must be able to read both.
set -eu
folder=$1
name=${2:-localhost}
chain=$folder/fullchain.pem
key=$folder/privkey.pem
# Stands in each that is made here, and tells it from another's.
mark="X-Ray Result Interpreter self-signed"
month=2592000  # seconds

readable_for_the_group() {
    mode=0$(stat -c %a "$1")
    [ $((mode & 04)) -ne 0 ] || { [ $((mode & 040)) -ne 0 ] && [ "$(stat -c %g "$1")" = "$(id -g)" ]; }
}

if [ -s "$chain" ] && [ -s "$key" ]; then
    for file in "$chain" "$key"; do
        if ! readable_for_the_group "$file"; then
            echo "nginx cannot read ${file##*/}: chgrp $(id -g) it, and chmod g+r." >&2
            exit 1
        fi
    done
    subject=$(openssl x509 -noout -subject -in "$chain" 2>/dev/null) || subject=
    if [ -z "$subject" ] || openssl x509 -noout -checkend $month -in "$chain" >/dev/null; then
        echo "Using the certificate in $folder"
        exit 0
    fi
    case $subject in
        *"$mark"*) ;;
        *)
            echo "The certificate in $folder ends within 30 days, or has ended: replace it." >&2
            exit 0
            ;;
    esac
elif [ -s "$chain" ] || [ -s "$key" ] || [ -L "$chain" ] || [ -L "$key" ]; then
    # Half of another's pair, or links to what is not mounted (certbot's folder `live`).
    echo "fullchain.pem and privkey.pem cannot both be read: copy both, not links, into their folder, or empty it." >&2
    exit 1
fi
if [ ! -w "$folder" ]; then
    echo "No certificate can be made: the folder for it must belong to root." >&2
    exit 1
fi
# Readable for nginx's group and nobody else.
umask 027
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
    -subj "/O=$mark/CN=$name" -addext "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1" \
    -keyout "$key.new" -out "$chain.new" 2>/dev/null
chmod 0640 "$key.new"
mv "$key.new" "$key"
mv "$chain.new" "$chain"
echo "Made a self-signed certificate for $name in $folder; browsers will warn"
