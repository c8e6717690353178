#!/bin/sh
# make-certificate.sh FOLDER [NAME]: a self-signed certificate, unless there is one already.
# Real ones are fullchain.pem and privkey.pem, as ACME clients name them.
set -eu
folder=$1
name=${2:-localhost}
if [ -s "$folder/fullchain.pem" ] && [ -s "$folder/privkey.pem" ]; then
    echo "Using the certificate in $folder"
    exit 0
fi
# Readable for nginx's group and nobody else.
umask 027
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
    -subj "/CN=$name" -addext "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1" \
    -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
chmod 0640 "$folder/privkey.pem"
echo "Made a self-signed certificate for $name in $folder; browsers will warn"
