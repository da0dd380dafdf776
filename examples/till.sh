#!/usr/bin/env bash
# Sends one request as a till does: signed (RFC 9421, HMAC-SHA-256), with openssl and curl alone.
#
#   examples/till.sh KEYS GET  'http://localhost:8002/v1/redemptions?request_no=t-1'
#   examples/till.sh KEYS POST  http://localhost:8002/v1/quotes '{"code": "1…", …}'
#
# KEYS is the file that `fairdrop seed` names; the first till in it sends the request.
set -euo pipefail
keys=$1 method=$2 url=$3 body=${4-}

field() { sed -n "s/^ *\"$1\": \"\\(.*\\)\",*\$/\\1/p" "$keys" | head -n 1; }
key_id=$(field key_id)
secret=$(field secret | tr '_-' '/+')
key=$(printf '%s=' "$secret" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')

target=/${url#*://*/}
path=${target%%\?*}
components='"@method" "@path"'
base="\"@method\": $method
\"@path\": $path"
send=(--request "$method")
if [[ $target == *\?* ]]; then
    components+=' "@query"'
    base+="
\"@query\": ?${target#*\?}"
fi
if [[ -n $body ]]; then
    digest="sha-256=:$(printf '%s' "$body" | openssl dgst -sha256 -binary | openssl base64 -A):"
    components+=' "content-digest"'
    base+="
\"content-digest\": $digest"
    send+=(--header 'Content-Type: application/json' --header "Content-Digest: $digest" --data-raw "$body")
fi

parameters="($components);created=$(date +%s);keyid=\"$key_id\";alg=\"hmac-sha256\""
base+="
\"@signature-params\": $parameters"
signature=$(printf '%s' "$base" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

curl --silent --show-error "${send[@]}" \
    --header "Signature-Input: till=$parameters" --header "Signature: till=:$signature:" "$url"
echo
