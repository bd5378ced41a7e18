{{- define "netlb.image" -}}
{{ required "image.registry: nobody publishes images; build and push your own (docs/install.md), and say where they are" .root.Values.image.registry }}/netlb-{{ .component }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "netlb.metrics" -}}
- name: metrics
  image: {{ .root.Values.prometheus.proxyImage }}
  args:
  - --secure-listen-address=:{{ .port }}
  - --upstream=http://127.0.0.1:{{ .upstream }}/
  - --allow-paths=/metrics
  ports:
  - {name: metrics, containerPort: {{ .port }}{{ if .host }}, hostPort: {{ .port }}{{ end }}}
  resources:
    requests: {cpu: 5m, memory: 24Mi}
    limits: {memory: 64Mi}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
{{- end }}
