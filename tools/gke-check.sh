#!/bin/bash
# Checks on a real project everything that no test outside Google can show. It takes about ten minutes and changes nothing.
#
# Usage: tools/gke-check.sh HOST [RELEASE] [NAMESPACE]   after `kiteway gke apply` for that host.
# RESTART=1 also restarts the Pods behind Google's balancer and verifies continuously: no verification may fail.
# Needs kubectl, gcloud, openssl, curl, kiteway, and the right to read the cluster and the project's load balancing.
set -u
host=${1:?the host name is missing: tools/gke-check.sh HOST [RELEASE] [NAMESPACE]}
release=${2:-my-release}
namespace=${3:-default}
failed=0

say() { printf '%-6s %s\n' "$1" "$2"; [ "$1" = ok ] || failed=1; }
check() { if [ "$1" = "$2" ]; then say ok "$3: $1"; else say wrong "$3: ${1:-nothing}, not $2"; fi; }
get() { kubectl -n "$namespace" get "$@" 2>/dev/null; }
google() { gcloud compute "$@" 2>/dev/null; }

# The objects: Google's Ingress for the host, its Service, the Service's Pods and its BackendConfig.
ingress=$(get ingress -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.annotations.kubernetes\.io/ingress\.class} {.spec.rules[*].host}{"\n"}{end}' |
  awk -v host="$host" '$2 == "gce" { for (i = 3; i <= NF; i++) if ($i == host) { print $1; exit } }')
[ -n "$ingress" ] || { say wrong "no Ingress of class gce for $host in namespace $namespace"; exit 1; }
service=$(get ingress "$ingress" -o jsonpath="{.spec.rules[?(@.host=='$host')].http.paths[0].backend.service.name}")
selector=$(get service "$service" -o jsonpath='{.spec.selector}' | tr -d '{}"' | tr : =)
config=$(get service "$service" -o jsonpath='{.metadata.annotations.cloud\.google\.com/backend-config}' |
  sed -n 's/.*"default": *"\([^"]*\)".*/\1/p')
spec() { get backendconfig "$config" -o jsonpath="{.spec.$1}"; }
say ok "$host: Ingress $ingress, Service $service, BackendConfig ${config:-missing}"

echo "waiting up to 10 minutes for the address"
address='' waited=0
while [ -z "$address" ] && [ "$waited" -lt 600 ]; do
  address=$(get ingress "$ingress" -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
  [ -n "$address" ] || { sleep 10; waited=$((waited + 10)); }
done
if [ -n "$address" ]; then say ok "the address is $address, after $waited s"; else say wrong "no address after 10 minutes"; fi

name=$(get ingress "$ingress" -o jsonpath='{.metadata.annotations.kubernetes\.io/ingress\.global-static-ip-name}')
check "$(google addresses describe "$name" --global --format='value(address)')" "$address" "the reserved address $name"
check "$(getent ahosts "$host" | awk '{ print $1 }' | sort -u | tr '\n' ' ')" "$address " "$host leads to"

backends=$(get ingress "$ingress" -o jsonpath='{.metadata.annotations.ingress\.kubernetes\.io/backends}')
case $backends in
  *UNHEALTHY* | *Unknown* | '') say wrong "backends: ${backends:-none}" ;;
  *) say ok "backends: $backends" ;;
esac

# Google's settings for the BackendConfig. The cluster's own default backend is a separate one, over plain HTTP.
for backend in $(get service "$service" -o jsonpath='{.metadata.annotations.cloud\.google\.com/neg-status}' |
  tr '{},' '\n' | sed -n 's/^"[0-9]*":"\([^"]*\)".*/\1/p'); do
  value() { google backend-services describe "$backend" --global --format="value($1)"; }
  check "$(value protocol)" HTTP2 "$backend: protocol"
  check "$(value timeoutSec)" "$(spec timeoutSec)" "$backend: timeout"
  check "$(value connectionDraining.drainingTimeoutSec)" "$(spec connectionDraining.drainingTimeoutSec)" "$backend: draining"
  probe=$(value 'healthChecks[0].basename()')
  check "$(google health-checks describe "$probe" --global --format='value(type)')" HTTP "$backend: health check"
  check "$(google health-checks describe "$probe" --global --format='value(httpHealthCheck.port)')" \
    "$(spec healthCheck.port)" "$backend: health check's port"
  check "$(google health-checks describe "$probe" --global --format='value(httpHealthCheck.requestPath)')" \
    "$(spec healthCheck.requestPath)" "$backend: health check's path"
done
[ -n "${backend:-}" ] || say wrong "no cloud.google.com/neg-status on Service $service"

# The readiness gate: in every Pod, and open; and every Pod is an endpoint of a group.
pods=$(get pods -l "$selector" -o name | wc -l)
gate='cloud.google.com/load-balancer-neg-ready'
gated=$(get pods -l "$selector" -o jsonpath='{range .items[*]}{.spec.readinessGates[*].conditionType}{"\n"}{end}' | grep -c "$gate")
open=$(get pods -l "$selector" -o jsonpath="{range .items[*]}{.status.conditions[?(@.type=='$gate')].status}{'\n'}{end}" | grep -c True)
check "$gated" "$pods" "Pods with Google's readiness gate"
check "$open" "$pods" "Pods whose gate is open"
endpoints=0
for zone in $(google network-endpoint-groups list --filter="name=${backend:-none}" --format='value(zone.basename())'); do
  found=$(google network-endpoint-groups list-network-endpoints "${backend:-none}" --zone "$zone" --format='value(networkEndpoint.ipAddress)')
  endpoints=$((endpoints + $(printf '%s' "$found" | grep -c .)))
done
check "$endpoints" "$pods" "endpoints in Google's groups"

# Health checks come from these ranges, to the serving port and to that of the health check.
rules=$(google firewall-rules list --filter='sourceRanges:(130.211.0.0/22) AND sourceRanges:(35.191.0.0/16)' \
  --format='value(name,allowed[].map().firewall_rule().list())')
port=$(spec healthCheck.port)
case $rules in
  *"$port"*) say ok "firewall for health checks: $(echo "$rules" | tr '\n' ' ')" ;;
  '') say wrong "no firewall rule lets 130.211.0.0/22 and 35.191.0.0/16 in" ;;
  *) say look "no firewall rule names port $port (a range may hold it): $(echo "$rules" | tr '\n' ' ')" ;;
esac

managed=$(get ingress "$ingress" -o jsonpath='{.metadata.annotations.networking\.gke\.io/managed-certificates}')
if [ -n "$managed" ]; then
  check "$(get managedcertificate "$managed" -o jsonpath='{.status.certificateStatus}')" Active "ManagedCertificate $managed"
fi

served() { openssl s_client -connect "$address:443" -servername "$host" -alpn h2 </dev/null 2>/dev/null; }
check "$(served | sed -n 's/^ALPN protocol: //p')" h2 "ALPN at $address:443"
case $(served | openssl x509 -noout -checkhost "$host" 2>/dev/null) in
  *'does match'*) say ok "the certificate served is for $host" ;;
  *) say wrong "the certificate served is not for $host" ;;
esac
# "" is a closed port.
http=$(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' --header "Host: $host" "http://$address/" | sed 's/^000$//')
case $http in
  '') say ok "port 80 is closed" ;;
  301 | 308) say ok "port 80 redirects" ;;
  *) say wrong "port 80 answers $http: tokens may pass in clear" ;;
esac

verify() { kiteway gke verify --release "$release" --namespace "$namespace" >/dev/null 2>&1; }
if verify; then say ok "verified with PyMilvus"; else say wrong "not verified: kiteway gke verify says why"; fi

if [ -n "${RESTART:-}" ]; then
  owner=$(get deployment -o jsonpath='{range .items[*]}{.metadata.name} {.spec.selector.matchLabels}{"\n"}{end}' |
    tr -d '{}"' | tr : = | awk -v selector="$selector" '$2 == selector { print $1 }')
  kubectl -n "$namespace" rollout restart "deployment/${owner:?no Deployment has the labels $selector}" >/dev/null
  calls=0 errors=0
  until kubectl -n "$namespace" rollout status "deployment/$owner" --timeout=1s >/dev/null 2>&1; do
    verify || errors=$((errors + 1))
    calls=$((calls + 1))
  done
  check "$errors" 0 "failed verifications of $calls during a restart"
fi
exit $failed
