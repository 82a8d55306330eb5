{{/* What the operator and its people may do. No right on Secrets, none to exec, no wildcard: tests/chart holds that. */}}

{{- define "algorithm-operator.rules" -}}
- apiGroups: [algorithm-operator.dev]
  resources: [algorithms, algorithmjobs, datastores, imageimports]
  verbs: [get, list, watch]
- apiGroups: [algorithm-operator.dev]
  resources: [algorithms/status, algorithmjobs/status, datastores/status, imageimports/status]
  verbs: [patch, update]
# ttlSecondsAfterFinished
- apiGroups: [algorithm-operator.dev]
  resources: [algorithmjobs, imageimports]
  verbs: [delete]
# Owners of Pods, where the API server checks who may block an owner's deletion
- apiGroups: [algorithm-operator.dev]
  resources: [algorithms/finalizers, algorithmjobs/finalizers, datastores/finalizers, imageimports/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [pods/log, persistentvolumeclaims, namespaces]
  verbs: [get]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch]
{{- if include "algorithm-operator.managesPolicy" . }}
# The one that seals jobs, put back where it is missing. A rule on `create` cannot name it; an admission policy does.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  resourceNames: [algorithm-operator-deny-all]
  verbs: [patch]
{{- end }}
# The CLI's wish for a store Pod
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch]
# Why a container does not start: the kubelet's events tell at once what the Pod's status tells late or never.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end -}}

{{- define "algorithm-operator.ownRules" -}}
# One operator works at a time. A rule on `create` cannot name the object.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "algorithm-operator.fullname" . }}]
  verbs: [get, patch, update]
- apiGroups: [""]
  resources: [services]
  resourceNames: [{{ include "algorithm-operator.canary" . }}]
  verbs: [get]
{{- end -}}

{{- define "algorithm-operator.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list]
{{- end -}}

{{- define "algorithm-operator.runnerRules" -}}
# What the gateway keeps for people; these resources exist nowhere else
- apiGroups: [algorithm-operator.dev]
  resources: [images, uploads, archives]
  verbs: [create, delete, get, list, update]
# Logs, and why a Pod waits
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# The files of DataStores: an admission policy asks for it where the store Pod is reached
- apiGroups: [algorithm-operator.dev]
  resources: [datastores]
  verbs: [connect]
# The way to the store Pod: POST with SPDY, GET with WebSockets; and the Lease that asks for it
- apiGroups: [""]
  resources: [pods/portforward]
  verbs: [create, get]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, delete, get, patch, update]
{{- end -}}
