{{/* Words of the admission policies, in CEL. */}}

{{- define "algorithm-operator.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "algorithm-operator.serviceAccountName" . }}
{{- end -}}

{{/* Whether it is the gateway that asks, in CEL: it names the user who has asked it. */}}
{{- define "algorithm-operator.isGateway" -}}
{{- if .Values.gateway.enabled -}}
request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "algorithm-operator.gatewayServiceAccountName" . }}'
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/* Whether the operator may write the policy that seals jobs ("true" or ""): only where an admission policy bounds it. */}}
{{- define "algorithm-operator.managesPolicy" -}}
{{- if and .Values.isolation.managePolicy .Values.admissionPolicies.enabled }}true{{ end -}}
{{- end -}}

{{/*
What clears up after people: the controllers of Kubernetes itself, and whoever may take the policies away. Not a group by
name: few clusters give system:masters to their administrators. No messageExpression may name it, for they cannot ask.
*/}}
{{- define "algorithm-operator.clearsUp" -}}
- name: clearsUp
  expression: >-
    request.userInfo.username.startsWith('system:serviceaccount:kube-system:')
    || request.userInfo.username == 'system:kube-controller-manager'
    || authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicybindings').check('delete').allowed()
{{- end -}}

{{/* Whether a NetworkPolicy's spec is that of algorithm-operator-deny-all, to the letter. */}}
{{- define "algorithm-operator.isDenyAll" -}}
(object.spec.?podSelector.?matchLabels.orValue({}).size() == 0
&& object.spec.?podSelector.?matchExpressions.orValue([]).size() == 1
&& object.spec.podSelector.matchExpressions[0].key == 'algorithm-operator.dev/role'
&& object.spec.podSelector.matchExpressions[0].operator == 'Exists'
&& object.spec.?policyTypes.orValue([]).size() == 2
&& 'Ingress' in object.spec.policyTypes && 'Egress' in object.spec.policyTypes
&& object.spec.?ingress.orValue([]).size() == 0
&& object.spec.?egress.orValue([]).size() == 0)
{{- end -}}

{{/* A policy's binding to the namespaces of jobs: those of the values by name, all others by label. */}}
{{- define "algorithm-operator.jobNamespaceBindings" -}}
{{- $selectors := dict "labelled" (dict "matchLabels" (dict "algorithm-operator.dev/jobs" "true")) -}}
{{- if .root.Values.jobNamespaces -}}
{{- $named := list -}}
{{- range .root.Values.jobNamespaces }}{{ $named = append $named .name }}{{ end -}}
{{- $in := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" $named -}}
{{- $_ := set $selectors "named" (dict "matchExpressions" (list $in)) -}}
{{- end -}}
{{- range $suffix, $selector := $selectors }}
---
{{ include "algorithm-operator.admissionBinding" (dict "root" $.root "policy" $.policy "suffix" (printf "-%s" $suffix) "selector" $selector) }}
{{- end -}}
{{- end -}}

{{- define "algorithm-operator.admissionBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: {{ .kind | default "Validating" }}AdmissionPolicyBinding
metadata:
  name: {{ .policy }}{{ .suffix }}
  labels: {{- include "algorithm-operator.labels" .root | nindent 4 }}
spec:
  policyName: {{ .policy }}
  {{- if not .kind }}
  validationActions: [Deny]
  {{- end }}
  {{- with .selector }}
  matchResources:
    namespaceSelector: {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end -}}

{{/* A policy's binding to all that the operator works in; `kind` Mutating, or none. */}}
{{- define "algorithm-operator.watchedBinding" -}}
{{- $selector := dict -}}
{{- with .root.Values.watchNamespaces -}}
{{- $in := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" . -}}
{{- $selector = dict "matchExpressions" (list $in) -}}
{{- end -}}
{{ include "algorithm-operator.admissionBinding" (dict "root" .root "policy" .policy "suffix" "" "selector" $selector "kind" .kind) }}
{{- end -}}
