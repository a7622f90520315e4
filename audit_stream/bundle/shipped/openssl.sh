#!/bin/sh
# Hashes and signatures of an evidence bundle by openssl (3.0 or later) alone. In the unpacked folder:
#     sh openssl.sh [PEM file of the timestamp authorities you trust]
# It trusts the keys in keys/: compare keys/vkeys.txt with what you got by another way. Of the Merkle
# proofs, of disclosures and of the signed answer it says nothing: verify.py does.
set -u
failed=0
scratch=$(mktemp -d) || exit 70
trap 'rm -rf "$scratch"' EXIT

say() { # what, whether it holds
    if [ "$2" -eq 0 ]; then echo "ok      $1"; else echo "FAILED  $1"; failed=1; fi
}
sha() { openssl dgst -sha256 -r "$1" | cut -c 1-64; }
raw64() { # base64 or base64url, with or without padding, to bytes
    text=$(tr -d '=\n' | tr '_-' '/+')
    while [ $((${#text} % 4)) -ne 0 ]; do text="$text="; done
    printf '%s' "$text" | openssl base64 -d -A
}
signed() { # key, file, signature
    openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" >"$scratch/said" 2>&1
}

echo "1 package: manifest.json"
tr ',{}' '\n\n\n' <manifest.json | sed -n 's/^"\([^"]*\)":"\([0-9a-f]\{64\}\)"$/\2 \1/p' >"$scratch/files"
[ -s "$scratch/files" ]
say "it lists files" $?
while read -r hash name; do
    [ "$(sha "$name" 2>/dev/null)" = "$hash" ] || say "$name" 1
done <"$scratch/files"

echo "2 records: SHA-256 of the fields is the integrity hash"
for file in records/*.json; do
    hash=$(sed 's/^{"integrity_hash":"sha256:\([0-9a-f]*\)".*/\1/' "${file%.json}.line")
    [ "$(sha "$file")" = "$hash" ]
    say "$file" $?
done

echo "5 headers and streams, 13 certificates: signatures"
for file in headers/*.txt streams/*.json certificates/*.[0-9]*.json; do
    [ -e "$file" ] || continue
    head -n 1 "$file" | tr -d '\n' >"$scratch/line"
    sed -n '2s/^{"sig":"\(.*\)"}$/\1/p' "$file" | raw64 >"$scratch/signature"
    good=1
    for key in keys/segment-*.pem; do
        if signed "$key" "$scratch/line" "$scratch/signature"; then good=0; fi
    done
    say "$file" $good
done

echo "7 checkpoint: signature of the log"
sed '/^$/,$d' checkpoint.txt >"$scratch/text"
good=1
for key in keys/log-*.pem; do
    id=${key#keys/log-}
    sed '1,/^$/d' checkpoint.txt | while read -r _ _ signature; do
        printf '%s' "$signature" | raw64 >"$scratch/blob"
        head -c 4 "$scratch/blob" | od -An -tx1 | tr -d ' \n' >"$scratch/id"
        if [ "$(cat "$scratch/id")" = "${id%.pem}" ]; then
            tail -c +5 "$scratch/blob" >"$scratch/signature"
            signed "$key" "$scratch/text" "$scratch/signature" && : >"$scratch/good"
        fi
    done
    if [ -e "$scratch/good" ]; then good=0; fi
done
say "checkpoint.txt" $good

echo "12 timestamps"
for token in anchors/*.tsr; do
    [ -e "$token" ] || { echo "        there is none"; break; }
    openssl ts -reply -in "$token" -text 2>/dev/null | grep "^Time stamp:" | tail -n 1  # the last is signed
    if [ $# -eq 0 ]; then echo "        $token not checked: name your authorities' PEM file"; continue; fi
    openssl ts -verify -data checkpoint.txt -in "$token" -CAfile "$1" >"$scratch/said" 2>&1
    say "$token" $?
done
exit $failed
