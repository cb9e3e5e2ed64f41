#!/bin/sh
# Checks on a real project what no test outside Google can show. About ten minutes; it changes nothing by itself.
#
# Usage: tools/gke-check.sh HOST [RELEASE] [NAMESPACE]   after `kiteway gke apply` for that host.
# Needs kubectl, gcloud, openssl, and the right to read the cluster and the project's load balancing.
set -u
host=${1:?the host name is missing: tools/gke-check.sh HOST [RELEASE] [NAMESPACE]}
release=${2:-my-release}
namespace=${3:-default}
failed=0

say() { printf '%-6s %s\n' "$1" "$2"; [ "$1" = ok ] || failed=1; }
get() { kubectl -n "$namespace" get "$@" 2>/dev/null; }

ingress=$(get ingress -l app.kubernetes.io/managed-by=kiteway-gke -o name | head -n 1)
service=$(get service -l "app.kubernetes.io/instance=$release" -o name | head -n 1)
[ -n "$ingress" ] || { say wrong "no Ingress of kiteway gke's in namespace $namespace"; exit 1; }

echo "waiting up to 10 minutes for the address"
address='' waited=0
while [ -z "$address" ] && [ "$waited" -lt 600 ]; do
  address=$(get "$ingress" -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
  [ -n "$address" ] || { sleep 10; waited=$((waited + 10)); }
done
if [ -n "$address" ]; then say ok "the address is $address, after $waited s"; else say wrong "no address after 10 minutes"; fi

name=$(get "$ingress" -o jsonpath='{.metadata.annotations.kubernetes\.io/ingress\.global-static-ip-name}')
static=$(gcloud compute addresses describe "$name" --global --format='value(address)' 2>/dev/null)
if [ "$static" = "$address" ]; then say ok "it is the reserved $name"; else say wrong "$name is ${static:-not reserved}"; fi

backends=$(get "$ingress" -o jsonpath='{.metadata.annotations.ingress\.kubernetes\.io/backends}')
case $backends in
  *UNHEALTHY*|*Unknown*|'') say wrong "backends: ${backends:-none}" ;;
  *) say ok "backends: $backends" ;;
esac

for backend in $(printf '%s' "$backends" | tr '{},' '\n' | sed -n 's/^"\(k8s[^"]*\)".*/\1/p'); do
  found=$(gcloud compute backend-services describe "$backend" --global \
    --format='value(protocol,timeoutSec,connectionDraining.drainingTimeoutSec)' 2>/dev/null)
  # The cluster's own default backend is plain HTTP.
  case $found in
    HTTP2*3600*60) say ok "$backend: $found" ;;
    HTTP2*) say look "$backend: protocol, timeout, draining are $found" ;;
    *) say ok "$backend: $found (not Milvus)" ;;
  esac
done

neg=$(get "$service" -o jsonpath='{.metadata.annotations.cloud\.google\.com/neg-status}')
case $neg in *network_endpoint_groups*) say ok "NEG: $neg" ;; *) say wrong "no neg-status on $service" ;; esac

pods=$(get pods -l "app.kubernetes.io/instance=$release,component=proxy" -o name | wc -l)
gated=$(get pods -l "app.kubernetes.io/instance=$release,component=proxy" \
  -o jsonpath='{range .items[*]}{.spec.readinessGates[*].conditionType}{"\n"}{end}' | grep -c load-balancer-neg-ready)
if [ "$pods" -gt 0 ] && [ "$pods" -eq "$gated" ]; then say ok "all $pods proxies have the readiness gate"
else say wrong "$gated of $pods proxies have the readiness gate: restart them"; fi

rules=$(gcloud compute firewall-rules list --filter='sourceRanges:(130.211.0.0/22) AND sourceRanges:(35.191.0.0/16)' \
  --format='value(name)' 2>/dev/null)
if [ -n "$rules" ]; then say ok "firewall for health checks: $(echo "$rules" | tr '\n' ' ')"
else say wrong "no firewall rule lets 130.211.0.0/22 and 35.191.0.0/16 in"; fi

status=$(get managedcertificate -o jsonpath='{.items[*].status.certificateStatus}')
case $status in ''|*Active*) say ok "managed certificate: ${status:-none}" ;; *) say wrong "managed certificate: $status" ;; esac

alpn=$(echo | openssl s_client -connect "$address:443" -servername "$host" -alpn h2 2>/dev/null | sed -n 's/^ALPN protocol: //p')
if [ "$alpn" = h2 ]; then say ok "TLS with ALPN h2 at $address:443"; else say wrong "ALPN at $address:443 is ${alpn:-missing}"; fi

if command -v kiteway >/dev/null; then
  if kiteway gke verify --release "$release" --namespace "$namespace" >/dev/null 2>&1; then say ok "verified with PyMilvus"
  else say wrong "not verified: kiteway gke verify says why"; fi
fi
exit $failed
