{{- define "algorithm-operator.gateway" -}}
{{ include "algorithm-operator.fullname" . }}-gateway
{{- end -}}

{{- define "algorithm-operator.gatewayServiceAccountName" -}}
{{- .Values.gateway.serviceAccount.name | default (include "algorithm-operator.gateway" .) -}}
{{- end -}}

{{/* Another name than the operator's, or its Services would select the gateway, too. */}}
{{- define "algorithm-operator.gatewaySelectorLabels" -}}
app.kubernetes.io/name: {{ include "algorithm-operator.name" . }}-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "algorithm-operator.gatewayLabels" -}}
{{- merge (include "algorithm-operator.gatewaySelectorLabels" . | fromYaml) (include "algorithm-operator.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{- define "algorithm-operator.gatewayUrl" -}}
{{- $port := int .Values.gateway.service.port -}}
{{- $inside := printf "https://%s.%s.svc%s" (include "algorithm-operator.gateway" .) .Release.Namespace (ternary "" (printf ":%d" $port) (eq $port 443)) -}}
{{- .Values.gateway.url | default $inside -}}
{{- end -}}

{{- define "algorithm-operator.gatewayHost" -}}
{{- (urlParse (include "algorithm-operator.gatewayUrl" .)).hostname -}}
{{- end -}}

{{/* The Secret with tls.crt and tls.key. */}}
{{- define "algorithm-operator.gatewayCertificate" -}}
{{- .Values.gateway.tls.secretName | default (printf "%s-tls" (include "algorithm-operator.gateway" .)) -}}
{{- end -}}

{{- define "algorithm-operator.gatewayChecks" -}}
{{- if and (not .Values.gateway.tls.secretName) (not .Values.gateway.tls.certManager.issuerRef) -}}
{{- fail "gateway.enabled needs a certificate: name a Secret of type kubernetes.io/tls in gateway.tls.secretName, or an issuer of cert-manager in gateway.tls.certManager.issuerRef. The client speaks HTTPS alone." -}}
{{- end -}}
{{- end -}}

{{/* Who asks, and what they may do: the cluster's own answers. */}}
{{- define "algorithm-operator.gatewayIdentityRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{/* What the gateway does for people, once the cluster has said that they may. */}}
{{- define "algorithm-operator.gatewayRules" -}}
- apiGroups: [algorithm-operator.dev]
  resources: [algorithms, algorithmjobs, imageimports, datastores]
  verbs: [get, list]
- apiGroups: [algorithm-operator.dev]
  resources: [algorithmjobs]
  verbs: [create]
- apiGroups: [algorithm-operator.dev]
  resources: [imageimports]
  verbs: [create, delete]
# Files, through the sealed store Pod: its Lease, and the way there
- apiGroups: [algorithm-operator.dev]
  resources: [datastores]
  verbs: [connect]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, get, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
- apiGroups: [""]
  resources: [pods/portforward]
  verbs: [create, get]
{{- end -}}
