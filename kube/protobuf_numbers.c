/* protobuf_numbers.c - the field numbers of Kubernetes' messages: the
 * generated.proto files of k8s.io/api, v1.20. An entry without a name is a
 * message whose fields stand in the object itself. */
#include "protobuf_internal.h"

static const ProtobufField apps_controller_revision[] = {
    {1, "metadata", NULL}, {2, "data", NULL}, {3, "revision", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_deployment[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_deployment_condition[] = {
    {1, "type", NULL},    {2, "status", NULL},         {4, "reason", NULL},
    {5, "message", NULL}, {6, "lastUpdateTime", NULL}, {7, "lastTransitionTime", NULL},
    {0, NULL, NULL}};
static const ProtobufField apps_deployment_spec[] = {{1, "replicas", NULL},
                                                     {2, "selector", NULL},
                                                     {3, "template", NULL},
                                                     {4, "strategy", NULL},
                                                     {5, "minReadySeconds", NULL},
                                                     {6, "revisionHistoryLimit", NULL},
                                                     {7, "paused", NULL},
                                                     {9, "progressDeadlineSeconds", NULL},
                                                     {0, NULL, NULL}};
static const ProtobufField apps_deployment_status[] = {{1, "observedGeneration", NULL},
                                                       {2, "replicas", NULL},
                                                       {3, "updatedReplicas", NULL},
                                                       {4, "availableReplicas", NULL},
                                                       {5, "unavailableReplicas", NULL},
                                                       {6, "conditions", NULL},
                                                       {7, "readyReplicas", NULL},
                                                       {8, "collisionCount", NULL},
                                                       {0, NULL, NULL}};
static const ProtobufField apps_deployment_strategy[] = {
    {1, "type", NULL}, {2, "rollingUpdate", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_replica_set[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_replica_set_condition[] = {
    {1, "type", NULL},   {2, "status", NULL},  {3, "lastTransitionTime", NULL},
    {4, "reason", NULL}, {5, "message", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_replica_set_spec[] = {
    {1, "replicas", NULL}, {2, "selector", NULL}, {3, "template", NULL}, {4, "minReadySeconds", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_replica_set_status[] = {{1, "replicas", NULL},
                                                        {2, "fullyLabeledReplicas", NULL},
                                                        {3, "observedGeneration", NULL},
                                                        {4, "readyReplicas", NULL},
                                                        {5, "availableReplicas", NULL},
                                                        {6, "conditions", NULL},
                                                        {0, NULL, NULL}};
static const ProtobufField apps_rolling_update_deployment[] = {
    {1, "maxUnavailable", NULL}, {2, "maxSurge", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_rolling_update_stateful_set_strategy[] = {{1, "partition", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_stateful_set[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_stateful_set_condition[] = {
    {1, "type", NULL},   {2, "status", NULL},  {3, "lastTransitionTime", NULL},
    {4, "reason", NULL}, {5, "message", NULL}, {0, NULL, NULL}};
static const ProtobufField apps_stateful_set_spec[] = {{1, "replicas", NULL},
                                                       {2, "selector", NULL},
                                                       {3, "template", NULL},
                                                       {4, "volumeClaimTemplates", NULL},
                                                       {5, "serviceName", NULL},
                                                       {6, "podManagementPolicy", NULL},
                                                       {7, "updateStrategy", NULL},
                                                       {8, "revisionHistoryLimit", NULL},
                                                       {0, NULL, NULL}};
static const ProtobufField apps_stateful_set_status[] = {{1, "observedGeneration", NULL}, {2, "replicas", NULL},
                                                         {3, "readyReplicas", NULL},      {4, "currentReplicas", NULL},
                                                         {5, "updatedReplicas", NULL},    {6, "currentRevision", NULL},
                                                         {7, "updateRevision", NULL},     {9, "collisionCount", NULL},
                                                         {10, "conditions", NULL},        {0, NULL, NULL}};
static const ProtobufField apps_stateful_set_update_strategy[] = {
    {1, "type", NULL}, {2, "rollingUpdate", NULL}, {0, NULL, NULL}};
static const ProtobufField authentication_self_subject_review[] = {
    {1, "metadata", NULL}, {2, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField authentication_token_request[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField authentication_token_request_spec[] = {
    {1, "audiences", NULL}, {3, "boundObjectRef", NULL}, {4, "expirationSeconds", NULL}, {0, NULL, NULL}};
static const ProtobufField authorization_non_resource_attributes[] = {
    {1, "path", NULL}, {2, "verb", NULL}, {0, NULL, NULL}};
static const ProtobufField authorization_resource_attributes[] = {
    {1, "namespace", NULL}, {2, "verb", NULL},        {3, "group", NULL}, {4, "version", NULL},
    {5, "resource", NULL},  {6, "subresource", NULL}, {7, "name", NULL},  {0, NULL, NULL}};
static const ProtobufField authorization_self_subject_access_review[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField authorization_self_subject_access_review_spec[] = {
    {1, "resourceAttributes", NULL}, {2, "nonResourceAttributes", NULL}, {0, NULL, NULL}};
static const ProtobufField authorization_self_subject_rules_review[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField authorization_self_subject_rules_review_spec[] = {{1, "namespace", NULL}, {0, NULL, NULL}};
static const ProtobufField autoscaling_scale[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField autoscaling_scale_spec[] = {{1, "replicas", NULL}, {0, NULL, NULL}};
static const ProtobufField autoscaling_scale_status[] = {{1, "replicas", NULL}, {2, "selector", NULL}, {0, NULL, NULL}};
static const ProtobufField coordination_lease[] = {{1, "metadata", NULL}, {2, "spec", NULL}, {0, NULL, NULL}};
static const ProtobufField coordination_lease_spec[] = {
    {1, "holderIdentity", NULL}, {2, "leaseDurationSeconds", NULL}, {3, "acquireTime", NULL},
    {4, "renewTime", NULL},      {5, "leaseTransitions", NULL},     {0, NULL, NULL}};
static const ProtobufField core_affinity[] = {
    {1, "nodeAffinity", NULL}, {2, "podAffinity", NULL}, {3, "podAntiAffinity", NULL}, {0, NULL, NULL}};
static const ProtobufField core_binding[] = {{1, "metadata", NULL}, {2, "target", NULL}, {0, NULL, NULL}};
static const ProtobufField core_capabilities[] = {{1, "add", NULL}, {2, "drop", NULL}, {0, NULL, NULL}};
static const ProtobufField core_config_map[] = {
    {1, "metadata", NULL}, {2, "data", NULL}, {3, "binaryData", NULL}, {4, "immutable", NULL}, {0, NULL, NULL}};
static const ProtobufField core_config_map_env_source[] = {
    {1, NULL, "io.k8s.api.core.v1.LocalObjectReference"}, {2, "optional", NULL}, {0, NULL, NULL}};
static const ProtobufField core_config_map_key_selector[] = {
    {1, NULL, "io.k8s.api.core.v1.LocalObjectReference"}, {2, "key", NULL}, {3, "optional", NULL}, {0, NULL, NULL}};
static const ProtobufField core_config_map_volume_source[] = {{1, NULL, "io.k8s.api.core.v1.LocalObjectReference"},
                                                              {2, "items", NULL},
                                                              {3, "defaultMode", NULL},
                                                              {4, "optional", NULL},
                                                              {0, NULL, NULL}};
static const ProtobufField core_container[] = {{1, "name", NULL},
                                               {2, "image", NULL},
                                               {3, "command", NULL},
                                               {4, "args", NULL},
                                               {5, "workingDir", NULL},
                                               {6, "ports", NULL},
                                               {7, "env", NULL},
                                               {8, "resources", NULL},
                                               {9, "volumeMounts", NULL},
                                               {10, "livenessProbe", NULL},
                                               {11, "readinessProbe", NULL},
                                               {12, "lifecycle", NULL},
                                               {13, "terminationMessagePath", NULL},
                                               {14, "imagePullPolicy", NULL},
                                               {15, "securityContext", NULL},
                                               {16, "stdin", NULL},
                                               {17, "stdinOnce", NULL},
                                               {18, "tty", NULL},
                                               {19, "envFrom", NULL},
                                               {20, "terminationMessagePolicy", NULL},
                                               {21, "volumeDevices", NULL},
                                               {22, "startupProbe", NULL},
                                               {0, NULL, NULL}};
static const ProtobufField core_container_image[] = {{1, "names", NULL}, {2, "sizeBytes", NULL}, {0, NULL, NULL}};
static const ProtobufField core_container_port[] = {{1, "name", NULL},          {2, "hostPort", NULL},
                                                    {3, "containerPort", NULL}, {4, "protocol", NULL},
                                                    {5, "hostIP", NULL},        {0, NULL, NULL}};
static const ProtobufField core_container_state[] = {
    {1, "waiting", NULL}, {2, "running", NULL}, {3, "terminated", NULL}, {0, NULL, NULL}};
static const ProtobufField core_container_state_running[] = {{1, "startedAt", NULL}, {0, NULL, NULL}};
static const ProtobufField core_container_state_terminated[] = {
    {1, "exitCode", NULL},  {2, "signal", NULL},     {3, "reason", NULL},      {4, "message", NULL},
    {5, "startedAt", NULL}, {6, "finishedAt", NULL}, {7, "containerID", NULL}, {0, NULL, NULL}};
static const ProtobufField core_container_state_waiting[] = {
    {1, "reason", NULL}, {2, "message", NULL}, {0, NULL, NULL}};
static const ProtobufField core_container_status[] = {
    {1, "name", NULL},  {2, "state", NULL},   {3, "lastState", NULL},   {4, "ready", NULL},   {5, "restartCount", NULL},
    {6, "image", NULL}, {7, "imageID", NULL}, {8, "containerID", NULL}, {9, "started", NULL}, {0, NULL, NULL}};
static const ProtobufField core_daemon_endpoint[] = {{1, "Port", NULL}, {0, NULL, NULL}};
static const ProtobufField core_downward_apivolume_file[] = {
    {1, "path", NULL}, {2, "fieldRef", NULL}, {3, "resourceFieldRef", NULL}, {4, "mode", NULL}, {0, NULL, NULL}};
static const ProtobufField core_downward_apivolume_source[] = {
    {1, "items", NULL}, {2, "defaultMode", NULL}, {0, NULL, NULL}};
static const ProtobufField core_empty_dir_volume_source[] = {
    {1, "medium", NULL}, {2, "sizeLimit", NULL}, {0, NULL, NULL}};
static const ProtobufField core_endpoint_address[] = {
    {1, "ip", NULL}, {2, "targetRef", NULL}, {3, "hostname", NULL}, {4, "nodeName", NULL}, {0, NULL, NULL}};
static const ProtobufField core_endpoint_port[] = {
    {1, "name", NULL}, {2, "port", NULL}, {3, "protocol", NULL}, {4, "appProtocol", NULL}, {0, NULL, NULL}};
static const ProtobufField core_endpoint_subset[] = {
    {1, "addresses", NULL}, {2, "notReadyAddresses", NULL}, {3, "ports", NULL}, {0, NULL, NULL}};
static const ProtobufField core_endpoints[] = {{1, "metadata", NULL}, {2, "subsets", NULL}, {0, NULL, NULL}};
static const ProtobufField core_env_from_source[] = {
    {1, "prefix", NULL}, {2, "configMapRef", NULL}, {3, "secretRef", NULL}, {0, NULL, NULL}};
static const ProtobufField core_env_var[] = {
    {1, "name", NULL}, {2, "value", NULL}, {3, "valueFrom", NULL}, {0, NULL, NULL}};
static const ProtobufField core_env_var_source[] = {{1, "fieldRef", NULL},
                                                    {2, "resourceFieldRef", NULL},
                                                    {3, "configMapKeyRef", NULL},
                                                    {4, "secretKeyRef", NULL},
                                                    {0, NULL, NULL}};
static const ProtobufField core_event[] = {{1, "metadata", NULL},
                                           {2, "involvedObject", NULL},
                                           {3, "reason", NULL},
                                           {4, "message", NULL},
                                           {5, "source", NULL},
                                           {6, "firstTimestamp", NULL},
                                           {7, "lastTimestamp", NULL},
                                           {8, "count", NULL},
                                           {9, "type", NULL},
                                           {10, "eventTime", NULL},
                                           {11, "series", NULL},
                                           {12, "action", NULL},
                                           {13, "related", NULL},
                                           {14, "reportingComponent", NULL},
                                           {15, "reportingInstance", NULL},
                                           {0, NULL, NULL}};
static const ProtobufField core_event_series[] = {{1, "count", NULL}, {2, "lastObservedTime", NULL}, {0, NULL, NULL}};
static const ProtobufField core_event_source[] = {{1, "component", NULL}, {2, "host", NULL}, {0, NULL, NULL}};
static const ProtobufField core_exec_action[] = {{1, "command", NULL}, {0, NULL, NULL}};
static const ProtobufField core_httpget_action[] = {{1, "path", NULL},   {2, "port", NULL},        {3, "host", NULL},
                                                    {4, "scheme", NULL}, {5, "httpHeaders", NULL}, {0, NULL, NULL}};
static const ProtobufField core_httpheader[] = {{1, "name", NULL}, {2, "value", NULL}, {0, NULL, NULL}};
static const ProtobufField core_handler[] = {
    {1, "exec", NULL}, {2, "httpGet", NULL}, {3, "tcpSocket", NULL}, {0, NULL, NULL}};
static const ProtobufField core_host_path_volume_source[] = {{1, "path", NULL}, {2, "type", NULL}, {0, NULL, NULL}};
static const ProtobufField core_key_to_path[] = {
    {1, "key", NULL}, {2, "path", NULL}, {3, "mode", NULL}, {0, NULL, NULL}};
static const ProtobufField core_load_balancer_ingress[] = {
    {1, "ip", NULL}, {2, "hostname", NULL}, {4, "ports", NULL}, {0, NULL, NULL}};
static const ProtobufField core_load_balancer_status[] = {{1, "ingress", NULL}, {0, NULL, NULL}};
static const ProtobufField core_local_object_reference[] = {{1, "name", NULL}, {0, NULL, NULL}};
static const ProtobufField core_local_volume_source[] = {{1, "path", NULL}, {2, "fsType", NULL}, {0, NULL, NULL}};
static const ProtobufField core_namespace[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_namespace_condition[] = {
    {1, "type", NULL},   {2, "status", NULL},  {4, "lastTransitionTime", NULL},
    {5, "reason", NULL}, {6, "message", NULL}, {0, NULL, NULL}};
static const ProtobufField core_namespace_spec[] = {{1, "finalizers", NULL}, {0, NULL, NULL}};
static const ProtobufField core_namespace_status[] = {{1, "phase", NULL}, {2, "conditions", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_address[] = {{1, "type", NULL}, {2, "address", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_affinity[] = {{1, "requiredDuringSchedulingIgnoredDuringExecution", NULL},
                                                   {2, "preferredDuringSchedulingIgnoredDuringExecution", NULL},
                                                   {0, NULL, NULL}};
static const ProtobufField core_node_condition[] = {{1, "type", NULL},
                                                    {2, "status", NULL},
                                                    {3, "lastHeartbeatTime", NULL},
                                                    {4, "lastTransitionTime", NULL},
                                                    {5, "reason", NULL},
                                                    {6, "message", NULL},
                                                    {0, NULL, NULL}};
static const ProtobufField core_node_daemon_endpoints[] = {{1, "kubeletEndpoint", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_selector[] = {{1, "nodeSelectorTerms", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_selector_requirement[] = {
    {1, "key", NULL}, {2, "operator", NULL}, {3, "values", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_selector_term[] = {
    {1, "matchExpressions", NULL}, {2, "matchFields", NULL}, {0, NULL, NULL}};
static const ProtobufField core_node_spec[] = {
    {1, "podCIDR", NULL}, {2, "externalID", NULL},   {3, "providerID", NULL}, {4, "unschedulable", NULL},
    {5, "taints", NULL},  {6, "configSource", NULL}, {7, "podCIDRs", NULL},   {0, NULL, NULL}};
static const ProtobufField core_node_status[] = {
    {1, "capacity", NULL},     {2, "allocatable", NULL},      {3, "phase", NULL},    {4, "conditions", NULL},
    {5, "addresses", NULL},    {6, "daemonEndpoints", NULL},  {7, "nodeInfo", NULL}, {8, "images", NULL},
    {9, "volumesInUse", NULL}, {10, "volumesAttached", NULL}, {11, "config", NULL},  {0, NULL, NULL}};
static const ProtobufField core_node_system_info[] = {{1, "machineID", NULL},
                                                      {2, "systemUUID", NULL},
                                                      {3, "bootID", NULL},
                                                      {4, "kernelVersion", NULL},
                                                      {5, "osImage", NULL},
                                                      {6, "containerRuntimeVersion", NULL},
                                                      {7, "kubeletVersion", NULL},
                                                      {8, "kubeProxyVersion", NULL},
                                                      {9, "operatingSystem", NULL},
                                                      {10, "architecture", NULL},
                                                      {0, NULL, NULL}};
static const ProtobufField core_object_field_selector[] = {
    {1, "apiVersion", NULL}, {2, "fieldPath", NULL}, {0, NULL, NULL}};
static const ProtobufField core_object_reference[] = {
    {1, "kind", NULL},       {2, "namespace", NULL},       {3, "name", NULL},      {4, "uid", NULL},
    {5, "apiVersion", NULL}, {6, "resourceVersion", NULL}, {7, "fieldPath", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_claim[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_claim_condition[] = {{1, "type", NULL},
                                                                       {2, "status", NULL},
                                                                       {3, "lastProbeTime", NULL},
                                                                       {4, "lastTransitionTime", NULL},
                                                                       {5, "reason", NULL},
                                                                       {6, "message", NULL},
                                                                       {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_claim_spec[] = {
    {1, "accessModes", NULL},      {2, "resources", NULL},  {3, "volumeName", NULL}, {4, "selector", NULL},
    {5, "storageClassName", NULL}, {6, "volumeMode", NULL}, {7, "dataSource", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_claim_status[] = {
    {1, "phase", NULL}, {2, "accessModes", NULL}, {3, "capacity", NULL}, {4, "conditions", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_claim_volume_source[] = {
    {1, "claimName", NULL}, {2, "readOnly", NULL}, {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_source[] = {{1, "gcePersistentDisk", NULL},
                                                              {2, "awsElasticBlockStore", NULL},
                                                              {3, "hostPath", NULL},
                                                              {4, "glusterfs", NULL},
                                                              {5, "nfs", NULL},
                                                              {6, "rbd", NULL},
                                                              {7, "iscsi", NULL},
                                                              {8, "cinder", NULL},
                                                              {9, "cephfs", NULL},
                                                              {10, "fc", NULL},
                                                              {11, "flocker", NULL},
                                                              {12, "flexVolume", NULL},
                                                              {13, "azureFile", NULL},
                                                              {14, "vsphereVolume", NULL},
                                                              {15, "quobyte", NULL},
                                                              {16, "azureDisk", NULL},
                                                              {17, "photonPersistentDisk", NULL},
                                                              {18, "portworxVolume", NULL},
                                                              {19, "scaleIO", NULL},
                                                              {20, "local", NULL},
                                                              {21, "storageos", NULL},
                                                              {22, "csi", NULL},
                                                              {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_spec[] = {{1, "capacity", NULL},
                                                            {2, NULL, "io.k8s.api.core.v1.PersistentVolumeSource"},
                                                            {3, "accessModes", NULL},
                                                            {4, "claimRef", NULL},
                                                            {5, "persistentVolumeReclaimPolicy", NULL},
                                                            {6, "storageClassName", NULL},
                                                            {7, "mountOptions", NULL},
                                                            {8, "volumeMode", NULL},
                                                            {9, "nodeAffinity", NULL},
                                                            {0, NULL, NULL}};
static const ProtobufField core_persistent_volume_status[] = {
    {1, "phase", NULL}, {2, "message", NULL}, {3, "reason", NULL}, {0, NULL, NULL}};
static const ProtobufField core_pod[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_pod_anti_affinity[] = {{1, "requiredDuringSchedulingIgnoredDuringExecution", NULL},
                                                       {2, "preferredDuringSchedulingIgnoredDuringExecution", NULL},
                                                       {0, NULL, NULL}};
static const ProtobufField core_pod_condition[] = {{1, "type", NULL},
                                                   {2, "status", NULL},
                                                   {3, "lastProbeTime", NULL},
                                                   {4, "lastTransitionTime", NULL},
                                                   {5, "reason", NULL},
                                                   {6, "message", NULL},
                                                   {0, NULL, NULL}};
static const ProtobufField core_pod_ip[] = {{1, "ip", NULL}, {0, NULL, NULL}};
static const ProtobufField core_pod_security_context[] = {{1, "seLinuxOptions", NULL},
                                                          {2, "runAsUser", NULL},
                                                          {3, "runAsNonRoot", NULL},
                                                          {4, "supplementalGroups", NULL},
                                                          {5, "fsGroup", NULL},
                                                          {6, "runAsGroup", NULL},
                                                          {7, "sysctls", NULL},
                                                          {8, "windowsOptions", NULL},
                                                          {9, "fsGroupChangePolicy", NULL},
                                                          {10, "seccompProfile", NULL},
                                                          {0, NULL, NULL}};
static const ProtobufField core_pod_spec[] = {{1, "volumes", NULL},
                                              {2, "containers", NULL},
                                              {3, "restartPolicy", NULL},
                                              {4, "terminationGracePeriodSeconds", NULL},
                                              {5, "activeDeadlineSeconds", NULL},
                                              {6, "dnsPolicy", NULL},
                                              {7, "nodeSelector", NULL},
                                              {8, "serviceAccountName", NULL},
                                              {9, "serviceAccount", NULL},
                                              {10, "nodeName", NULL},
                                              {11, "hostNetwork", NULL},
                                              {12, "hostPID", NULL},
                                              {13, "hostIPC", NULL},
                                              {14, "securityContext", NULL},
                                              {15, "imagePullSecrets", NULL},
                                              {16, "hostname", NULL},
                                              {17, "subdomain", NULL},
                                              {18, "affinity", NULL},
                                              {19, "schedulerName", NULL},
                                              {20, "initContainers", NULL},
                                              {21, "automountServiceAccountToken", NULL},
                                              {22, "tolerations", NULL},
                                              {23, "hostAliases", NULL},
                                              {24, "priorityClassName", NULL},
                                              {25, "priority", NULL},
                                              {26, "dnsConfig", NULL},
                                              {27, "shareProcessNamespace", NULL},
                                              {28, "readinessGates", NULL},
                                              {29, "runtimeClassName", NULL},
                                              {30, "enableServiceLinks", NULL},
                                              {31, "preemptionPolicy", NULL},
                                              {32, "overhead", NULL},
                                              {33, "topologySpreadConstraints", NULL},
                                              {34, "ephemeralContainers", NULL},
                                              {35, "setHostnameAsFQDN", NULL},
                                              {0, NULL, NULL}};
static const ProtobufField core_pod_status[] = {{1, "phase", NULL},
                                                {2, "conditions", NULL},
                                                {3, "message", NULL},
                                                {4, "reason", NULL},
                                                {5, "hostIP", NULL},
                                                {6, "podIP", NULL},
                                                {7, "startTime", NULL},
                                                {8, "containerStatuses", NULL},
                                                {9, "qosClass", NULL},
                                                {10, "initContainerStatuses", NULL},
                                                {11, "nominatedNodeName", NULL},
                                                {12, "podIPs", NULL},
                                                {13, "ephemeralContainerStatuses", NULL},
                                                {0, NULL, NULL}};
static const ProtobufField core_pod_template_spec[] = {{1, "metadata", NULL}, {2, "spec", NULL}, {0, NULL, NULL}};
static const ProtobufField core_port_status[] = {
    {1, "port", NULL}, {2, "protocol", NULL}, {3, "error", NULL}, {0, NULL, NULL}};
static const ProtobufField core_preferred_scheduling_term[] = {
    {1, "weight", NULL}, {2, "preference", NULL}, {0, NULL, NULL}};
static const ProtobufField core_probe[] = {{1, NULL, "io.k8s.api.core.v1.Handler"},
                                           {2, "initialDelaySeconds", NULL},
                                           {3, "timeoutSeconds", NULL},
                                           {4, "periodSeconds", NULL},
                                           {5, "successThreshold", NULL},
                                           {6, "failureThreshold", NULL},
                                           {0, NULL, NULL}};
static const ProtobufField core_replication_controller[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_replication_controller_condition[] = {
    {1, "type", NULL},   {2, "status", NULL},  {3, "lastTransitionTime", NULL},
    {4, "reason", NULL}, {5, "message", NULL}, {0, NULL, NULL}};
static const ProtobufField core_replication_controller_spec[] = {
    {1, "replicas", NULL}, {2, "selector", NULL}, {3, "template", NULL}, {4, "minReadySeconds", NULL}, {0, NULL, NULL}};
static const ProtobufField core_replication_controller_status[] = {{1, "replicas", NULL},
                                                                   {2, "fullyLabeledReplicas", NULL},
                                                                   {3, "observedGeneration", NULL},
                                                                   {4, "readyReplicas", NULL},
                                                                   {5, "availableReplicas", NULL},
                                                                   {6, "conditions", NULL},
                                                                   {0, NULL, NULL}};
static const ProtobufField core_resource_field_selector[] = {
    {1, "containerName", NULL}, {2, "resource", NULL}, {3, "divisor", NULL}, {0, NULL, NULL}};
static const ProtobufField core_resource_requirements[] = {{1, "limits", NULL}, {2, "requests", NULL}, {0, NULL, NULL}};
static const ProtobufField core_se_linux_options[] = {
    {1, "user", NULL}, {2, "role", NULL}, {3, "type", NULL}, {4, "level", NULL}, {0, NULL, NULL}};
static const ProtobufField core_seccomp_profile[] = {{1, "type", NULL}, {2, "localhostProfile", NULL}, {0, NULL, NULL}};
static const ProtobufField core_secret[] = {{1, "metadata", NULL},   {2, "data", NULL},      {3, "type", NULL},
                                            {4, "stringData", NULL}, {5, "immutable", NULL}, {0, NULL, NULL}};
static const ProtobufField core_secret_env_source[] = {
    {1, NULL, "io.k8s.api.core.v1.LocalObjectReference"}, {2, "optional", NULL}, {0, NULL, NULL}};
static const ProtobufField core_secret_key_selector[] = {
    {1, NULL, "io.k8s.api.core.v1.LocalObjectReference"}, {2, "key", NULL}, {3, "optional", NULL}, {0, NULL, NULL}};
static const ProtobufField core_secret_volume_source[] = {
    {1, "secretName", NULL}, {2, "items", NULL}, {3, "defaultMode", NULL}, {4, "optional", NULL}, {0, NULL, NULL}};
static const ProtobufField core_security_context[] = {{1, "capabilities", NULL},
                                                      {2, "privileged", NULL},
                                                      {3, "seLinuxOptions", NULL},
                                                      {4, "runAsUser", NULL},
                                                      {5, "runAsNonRoot", NULL},
                                                      {6, "readOnlyRootFilesystem", NULL},
                                                      {7, "allowPrivilegeEscalation", NULL},
                                                      {8, "runAsGroup", NULL},
                                                      {9, "procMount", NULL},
                                                      {10, "windowsOptions", NULL},
                                                      {11, "seccompProfile", NULL},
                                                      {0, NULL, NULL}};
static const ProtobufField core_service[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField core_service_account[] = {{1, "metadata", NULL},
                                                     {2, "secrets", NULL},
                                                     {3, "imagePullSecrets", NULL},
                                                     {4, "automountServiceAccountToken", NULL},
                                                     {0, NULL, NULL}};
static const ProtobufField core_service_port[] = {
    {1, "name", NULL},     {2, "protocol", NULL},    {3, "port", NULL}, {4, "targetPort", NULL},
    {5, "nodePort", NULL}, {6, "appProtocol", NULL}, {0, NULL, NULL}};
static const ProtobufField core_service_spec[] = {{1, "ports", NULL},
                                                  {2, "selector", NULL},
                                                  {3, "clusterIP", NULL},
                                                  {4, "type", NULL},
                                                  {5, "externalIPs", NULL},
                                                  {7, "sessionAffinity", NULL},
                                                  {8, "loadBalancerIP", NULL},
                                                  {9, "loadBalancerSourceRanges", NULL},
                                                  {10, "externalName", NULL},
                                                  {11, "externalTrafficPolicy", NULL},
                                                  {12, "healthCheckNodePort", NULL},
                                                  {13, "publishNotReadyAddresses", NULL},
                                                  {14, "sessionAffinityConfig", NULL},
                                                  {16, "topologyKeys", NULL},
                                                  {17, "ipFamilyPolicy", NULL},
                                                  {18, "clusterIPs", NULL},
                                                  {19, "ipFamilies", NULL},
                                                  {20, "allocateLoadBalancerNodePorts", NULL},
                                                  {0, NULL, NULL}};
static const ProtobufField core_service_status[] = {
    {1, "loadBalancer", NULL}, {2, "conditions", NULL}, {0, NULL, NULL}};
static const ProtobufField core_tcpsocket_action[] = {{1, "port", NULL}, {2, "host", NULL}, {0, NULL, NULL}};
static const ProtobufField core_sysctl[] = {{1, "name", NULL}, {2, "value", NULL}, {0, NULL, NULL}};
static const ProtobufField core_taint[] = {
    {1, "key", NULL}, {2, "value", NULL}, {3, "effect", NULL}, {4, "timeAdded", NULL}, {0, NULL, NULL}};
static const ProtobufField core_toleration[] = {{1, "key", NULL},    {2, "operator", NULL},          {3, "value", NULL},
                                                {4, "effect", NULL}, {5, "tolerationSeconds", NULL}, {0, NULL, NULL}};
static const ProtobufField core_topology_spread_constraint[] = {{1, "maxSkew", NULL},
                                                                {2, "topologyKey", NULL},
                                                                {3, "whenUnsatisfiable", NULL},
                                                                {4, "labelSelector", NULL},
                                                                {0, NULL, NULL}};
static const ProtobufField core_volume[] = {
    {1, "name", NULL}, {2, NULL, "io.k8s.api.core.v1.VolumeSource"}, {0, NULL, NULL}};
static const ProtobufField core_volume_mount[] = {
    {1, "name", NULL},    {2, "readOnly", NULL},         {3, "mountPath", NULL},
    {4, "subPath", NULL}, {5, "mountPropagation", NULL}, {6, "subPathExpr", NULL},
    {0, NULL, NULL}};
static const ProtobufField core_volume_node_affinity[] = {{1, "required", NULL}, {0, NULL, NULL}};
static const ProtobufField core_volume_source[] = {{1, "hostPath", NULL},
                                                   {2, "emptyDir", NULL},
                                                   {3, "gcePersistentDisk", NULL},
                                                   {4, "awsElasticBlockStore", NULL},
                                                   {5, "gitRepo", NULL},
                                                   {6, "secret", NULL},
                                                   {7, "nfs", NULL},
                                                   {8, "iscsi", NULL},
                                                   {9, "glusterfs", NULL},
                                                   {10, "persistentVolumeClaim", NULL},
                                                   {11, "rbd", NULL},
                                                   {12, "flexVolume", NULL},
                                                   {13, "cinder", NULL},
                                                   {14, "cephfs", NULL},
                                                   {15, "flocker", NULL},
                                                   {16, "downwardAPI", NULL},
                                                   {17, "fc", NULL},
                                                   {18, "azureFile", NULL},
                                                   {19, "configMap", NULL},
                                                   {20, "vsphereVolume", NULL},
                                                   {21, "quobyte", NULL},
                                                   {22, "azureDisk", NULL},
                                                   {23, "photonPersistentDisk", NULL},
                                                   {24, "portworxVolume", NULL},
                                                   {25, "scaleIO", NULL},
                                                   {26, "projected", NULL},
                                                   {27, "storageos", NULL},
                                                   {28, "csi", NULL},
                                                   {29, "ephemeral", NULL},
                                                   {0, NULL, NULL}};
static const ProtobufField core_windows_security_context_options[] = {
    {1, "gmsaCredentialSpecName", NULL}, {2, "gmsaCredentialSpec", NULL}, {3, "runAsUserName", NULL}, {0, NULL, NULL}};
static const ProtobufField policy_eviction[] = {{1, "metadata", NULL}, {2, "deleteOptions", NULL}, {0, NULL, NULL}};
static const ProtobufField policy_pod_disruption_budget[] = {
    {1, "metadata", NULL}, {2, "spec", NULL}, {3, "status", NULL}, {0, NULL, NULL}};
static const ProtobufField policy_pod_disruption_budget_spec[] = {
    {1, "minAvailable", NULL}, {2, "selector", NULL}, {3, "maxUnavailable", NULL}, {0, NULL, NULL}};
static const ProtobufField storage_storage_class[] = {
    {1, "metadata", NULL},          {2, "provisioner", NULL},       {3, "parameters", NULL},
    {4, "reclaimPolicy", NULL},     {5, "mountOptions", NULL},      {6, "allowVolumeExpansion", NULL},
    {7, "volumeBindingMode", NULL}, {8, "allowedTopologies", NULL}, {0, NULL, NULL}};
static const ProtobufField meta_condition[] = {{1, "type", NULL},
                                               {2, "status", NULL},
                                               {3, "observedGeneration", NULL},
                                               {4, "lastTransitionTime", NULL},
                                               {5, "reason", NULL},
                                               {6, "message", NULL},
                                               {0, NULL, NULL}};
static const ProtobufField meta_delete_options[] = {
    {1, "gracePeriodSeconds", NULL}, {2, "preconditions", NULL}, {3, "orphanDependents", NULL},
    {4, "propagationPolicy", NULL},  {5, "dryRun", NULL},        {0, NULL, NULL}};
static const ProtobufField meta_label_selector[] = {
    {1, "matchLabels", NULL}, {2, "matchExpressions", NULL}, {0, NULL, NULL}};
static const ProtobufField meta_label_selector_requirement[] = {
    {1, "key", NULL}, {2, "operator", NULL}, {3, "values", NULL}, {0, NULL, NULL}};
static const ProtobufField meta_list_meta[] = {{1, "selfLink", NULL},
                                               {2, "resourceVersion", NULL},
                                               {3, "continue", NULL},
                                               {4, "remainingItemCount", NULL},
                                               {0, NULL, NULL}};
static const ProtobufField meta_object_meta[] = {{1, "name", NULL},
                                                 {2, "generateName", NULL},
                                                 {3, "namespace", NULL},
                                                 {4, "selfLink", NULL},
                                                 {5, "uid", NULL},
                                                 {6, "resourceVersion", NULL},
                                                 {7, "generation", NULL},
                                                 {8, "creationTimestamp", NULL},
                                                 {9, "deletionTimestamp", NULL},
                                                 {10, "deletionGracePeriodSeconds", NULL},
                                                 {11, "labels", NULL},
                                                 {12, "annotations", NULL},
                                                 {13, "ownerReferences", NULL},
                                                 {14, "finalizers", NULL},
                                                 {15, "clusterName", NULL},
                                                 {17, "managedFields", NULL},
                                                 {0, NULL, NULL}};
static const ProtobufField meta_owner_reference[] = {{1, "kind", NULL},       {3, "name", NULL},
                                                     {4, "uid", NULL},        {5, "apiVersion", NULL},
                                                     {6, "controller", NULL}, {7, "blockOwnerDeletion", NULL},
                                                     {0, NULL, NULL}};
static const ProtobufField meta_preconditions[] = {{1, "uid", NULL}, {2, "resourceVersion", NULL}, {0, NULL, NULL}};
static const ProtobufField meta_status[] = {{1, "metadata", NULL}, {2, "status", NULL},  {3, "message", NULL},
                                            {4, "reason", NULL},   {5, "details", NULL}, {6, "code", NULL},
                                            {0, NULL, NULL}};
static const ProtobufField meta_status_cause[] = {
    {1, "reason", NULL}, {2, "message", NULL}, {3, "field", NULL}, {0, NULL, NULL}};
static const ProtobufField meta_status_details[] = {
    {1, "name", NULL}, {2, "group", NULL}, {3, "kind", NULL}, {4, "causes", NULL}, {5, "retryAfterSeconds", NULL},
    {6, "uid", NULL},  {0, NULL, NULL}};

const ProtobufMessage protobuf_messages[] = {
    {"io.k8s.api.apps.v1.ControllerRevision", apps_controller_revision},
    {"io.k8s.api.apps.v1.Deployment", apps_deployment},
    {"io.k8s.api.apps.v1.DeploymentCondition", apps_deployment_condition},
    {"io.k8s.api.apps.v1.DeploymentSpec", apps_deployment_spec},
    {"io.k8s.api.apps.v1.DeploymentStatus", apps_deployment_status},
    {"io.k8s.api.apps.v1.DeploymentStrategy", apps_deployment_strategy},
    {"io.k8s.api.apps.v1.ReplicaSet", apps_replica_set},
    {"io.k8s.api.apps.v1.ReplicaSetCondition", apps_replica_set_condition},
    {"io.k8s.api.apps.v1.ReplicaSetSpec", apps_replica_set_spec},
    {"io.k8s.api.apps.v1.ReplicaSetStatus", apps_replica_set_status},
    {"io.k8s.api.apps.v1.RollingUpdateDeployment", apps_rolling_update_deployment},
    {"io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy", apps_rolling_update_stateful_set_strategy},
    {"io.k8s.api.apps.v1.StatefulSet", apps_stateful_set},
    {"io.k8s.api.apps.v1.StatefulSetCondition", apps_stateful_set_condition},
    {"io.k8s.api.apps.v1.StatefulSetSpec", apps_stateful_set_spec},
    {"io.k8s.api.apps.v1.StatefulSetStatus", apps_stateful_set_status},
    {"io.k8s.api.apps.v1.StatefulSetUpdateStrategy", apps_stateful_set_update_strategy},
    {"io.k8s.api.authentication.v1.SelfSubjectReview", authentication_self_subject_review},
    {"io.k8s.api.authentication.v1.TokenRequest", authentication_token_request},
    {"io.k8s.api.authentication.v1.TokenRequestSpec", authentication_token_request_spec},
    {"io.k8s.api.authorization.v1.NonResourceAttributes", authorization_non_resource_attributes},
    {"io.k8s.api.authorization.v1.ResourceAttributes", authorization_resource_attributes},
    {"io.k8s.api.authorization.v1.SelfSubjectAccessReview", authorization_self_subject_access_review},
    {"io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec", authorization_self_subject_access_review_spec},
    {"io.k8s.api.authorization.v1.SelfSubjectRulesReview", authorization_self_subject_rules_review},
    {"io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec", authorization_self_subject_rules_review_spec},
    {"io.k8s.api.autoscaling.v1.Scale", autoscaling_scale},
    {"io.k8s.api.autoscaling.v1.ScaleSpec", autoscaling_scale_spec},
    {"io.k8s.api.autoscaling.v1.ScaleStatus", autoscaling_scale_status},
    {"io.k8s.api.coordination.v1.Lease", coordination_lease},
    {"io.k8s.api.coordination.v1.LeaseSpec", coordination_lease_spec},
    {"io.k8s.api.core.v1.Affinity", core_affinity},
    {"io.k8s.api.core.v1.Binding", core_binding},
    {"io.k8s.api.core.v1.Capabilities", core_capabilities},
    {"io.k8s.api.core.v1.ConfigMap", core_config_map},
    {"io.k8s.api.core.v1.ConfigMapEnvSource", core_config_map_env_source},
    {"io.k8s.api.core.v1.ConfigMapKeySelector", core_config_map_key_selector},
    {"io.k8s.api.core.v1.ConfigMapVolumeSource", core_config_map_volume_source},
    {"io.k8s.api.core.v1.Container", core_container},
    {"io.k8s.api.core.v1.ContainerImage", core_container_image},
    {"io.k8s.api.core.v1.ContainerPort", core_container_port},
    {"io.k8s.api.core.v1.ContainerState", core_container_state},
    {"io.k8s.api.core.v1.ContainerStateRunning", core_container_state_running},
    {"io.k8s.api.core.v1.ContainerStateTerminated", core_container_state_terminated},
    {"io.k8s.api.core.v1.ContainerStateWaiting", core_container_state_waiting},
    {"io.k8s.api.core.v1.ContainerStatus", core_container_status},
    {"io.k8s.api.core.v1.DaemonEndpoint", core_daemon_endpoint},
    {"io.k8s.api.core.v1.DownwardAPIVolumeFile", core_downward_apivolume_file},
    {"io.k8s.api.core.v1.DownwardAPIVolumeSource", core_downward_apivolume_source},
    {"io.k8s.api.core.v1.EmptyDirVolumeSource", core_empty_dir_volume_source},
    {"io.k8s.api.core.v1.EndpointAddress", core_endpoint_address},
    {"io.k8s.api.core.v1.EndpointPort", core_endpoint_port},
    {"io.k8s.api.core.v1.EndpointSubset", core_endpoint_subset},
    {"io.k8s.api.core.v1.Endpoints", core_endpoints},
    {"io.k8s.api.core.v1.EnvFromSource", core_env_from_source},
    {"io.k8s.api.core.v1.EnvVar", core_env_var},
    {"io.k8s.api.core.v1.EnvVarSource", core_env_var_source},
    {"io.k8s.api.core.v1.Event", core_event},
    {"io.k8s.api.core.v1.EventSeries", core_event_series},
    {"io.k8s.api.core.v1.EventSource", core_event_source},
    {"io.k8s.api.core.v1.ExecAction", core_exec_action},
    {"io.k8s.api.core.v1.HTTPGetAction", core_httpget_action},
    {"io.k8s.api.core.v1.HTTPHeader", core_httpheader},
    {"io.k8s.api.core.v1.Handler", core_handler},
    {"io.k8s.api.core.v1.HostPathVolumeSource", core_host_path_volume_source},
    {"io.k8s.api.core.v1.KeyToPath", core_key_to_path},
    {"io.k8s.api.core.v1.LoadBalancerIngress", core_load_balancer_ingress},
    {"io.k8s.api.core.v1.LoadBalancerStatus", core_load_balancer_status},
    {"io.k8s.api.core.v1.LocalObjectReference", core_local_object_reference},
    {"io.k8s.api.core.v1.LocalVolumeSource", core_local_volume_source},
    {"io.k8s.api.core.v1.Namespace", core_namespace},
    {"io.k8s.api.core.v1.NamespaceCondition", core_namespace_condition},
    {"io.k8s.api.core.v1.NamespaceSpec", core_namespace_spec},
    {"io.k8s.api.core.v1.NamespaceStatus", core_namespace_status},
    {"io.k8s.api.core.v1.Node", core_node},
    {"io.k8s.api.core.v1.NodeAddress", core_node_address},
    {"io.k8s.api.core.v1.NodeAffinity", core_node_affinity},
    {"io.k8s.api.core.v1.NodeCondition", core_node_condition},
    {"io.k8s.api.core.v1.NodeDaemonEndpoints", core_node_daemon_endpoints},
    {"io.k8s.api.core.v1.NodeSelector", core_node_selector},
    {"io.k8s.api.core.v1.NodeSelectorRequirement", core_node_selector_requirement},
    {"io.k8s.api.core.v1.NodeSelectorTerm", core_node_selector_term},
    {"io.k8s.api.core.v1.NodeSpec", core_node_spec},
    {"io.k8s.api.core.v1.NodeStatus", core_node_status},
    {"io.k8s.api.core.v1.NodeSystemInfo", core_node_system_info},
    {"io.k8s.api.core.v1.ObjectFieldSelector", core_object_field_selector},
    {"io.k8s.api.core.v1.ObjectReference", core_object_reference},
    {"io.k8s.api.core.v1.PersistentVolume", core_persistent_volume},
    {"io.k8s.api.core.v1.PersistentVolumeClaim", core_persistent_volume_claim},
    {"io.k8s.api.core.v1.PersistentVolumeClaimCondition", core_persistent_volume_claim_condition},
    {"io.k8s.api.core.v1.PersistentVolumeClaimSpec", core_persistent_volume_claim_spec},
    {"io.k8s.api.core.v1.PersistentVolumeClaimStatus", core_persistent_volume_claim_status},
    {"io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource", core_persistent_volume_claim_volume_source},
    {"io.k8s.api.core.v1.PersistentVolumeSource", core_persistent_volume_source},
    {"io.k8s.api.core.v1.PersistentVolumeSpec", core_persistent_volume_spec},
    {"io.k8s.api.core.v1.PersistentVolumeStatus", core_persistent_volume_status},
    {"io.k8s.api.core.v1.Pod", core_pod},
    {"io.k8s.api.core.v1.PodAntiAffinity", core_pod_anti_affinity},
    {"io.k8s.api.core.v1.PodCondition", core_pod_condition},
    {"io.k8s.api.core.v1.PodIP", core_pod_ip},
    {"io.k8s.api.core.v1.PodSecurityContext", core_pod_security_context},
    {"io.k8s.api.core.v1.PodSpec", core_pod_spec},
    {"io.k8s.api.core.v1.PodStatus", core_pod_status},
    {"io.k8s.api.core.v1.PodTemplateSpec", core_pod_template_spec},
    {"io.k8s.api.core.v1.PortStatus", core_port_status},
    {"io.k8s.api.core.v1.PreferredSchedulingTerm", core_preferred_scheduling_term},
    {"io.k8s.api.core.v1.Probe", core_probe},
    {"io.k8s.api.core.v1.ReplicationController", core_replication_controller},
    {"io.k8s.api.core.v1.ReplicationControllerCondition", core_replication_controller_condition},
    {"io.k8s.api.core.v1.ReplicationControllerSpec", core_replication_controller_spec},
    {"io.k8s.api.core.v1.ReplicationControllerStatus", core_replication_controller_status},
    {"io.k8s.api.core.v1.ResourceFieldSelector", core_resource_field_selector},
    {"io.k8s.api.core.v1.ResourceRequirements", core_resource_requirements},
    {"io.k8s.api.core.v1.SELinuxOptions", core_se_linux_options},
    {"io.k8s.api.core.v1.SeccompProfile", core_seccomp_profile},
    {"io.k8s.api.core.v1.Secret", core_secret},
    {"io.k8s.api.core.v1.SecretEnvSource", core_secret_env_source},
    {"io.k8s.api.core.v1.SecretKeySelector", core_secret_key_selector},
    {"io.k8s.api.core.v1.SecretVolumeSource", core_secret_volume_source},
    {"io.k8s.api.core.v1.SecurityContext", core_security_context},
    {"io.k8s.api.core.v1.Service", core_service},
    {"io.k8s.api.core.v1.ServiceAccount", core_service_account},
    {"io.k8s.api.core.v1.ServicePort", core_service_port},
    {"io.k8s.api.core.v1.ServiceSpec", core_service_spec},
    {"io.k8s.api.core.v1.ServiceStatus", core_service_status},
    {"io.k8s.api.core.v1.Sysctl", core_sysctl},
    {"io.k8s.api.core.v1.TCPSocketAction", core_tcpsocket_action},
    {"io.k8s.api.core.v1.Taint", core_taint},
    {"io.k8s.api.core.v1.Toleration", core_toleration},
    {"io.k8s.api.core.v1.TopologySpreadConstraint", core_topology_spread_constraint},
    {"io.k8s.api.core.v1.Volume", core_volume},
    {"io.k8s.api.core.v1.VolumeMount", core_volume_mount},
    {"io.k8s.api.core.v1.VolumeNodeAffinity", core_volume_node_affinity},
    {"io.k8s.api.core.v1.VolumeSource", core_volume_source},
    {"io.k8s.api.core.v1.WindowsSecurityContextOptions", core_windows_security_context_options},
    {"io.k8s.api.policy.v1beta1.Eviction", policy_eviction},
    {"io.k8s.api.policy.v1beta1.PodDisruptionBudget", policy_pod_disruption_budget},
    {"io.k8s.api.policy.v1beta1.PodDisruptionBudgetSpec", policy_pod_disruption_budget_spec},
    {"io.k8s.api.storage.v1.StorageClass", storage_storage_class},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.Condition", meta_condition},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", meta_delete_options},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", meta_label_selector},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", meta_label_selector_requirement},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", meta_list_meta},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", meta_object_meta},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", meta_owner_reference},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions", meta_preconditions},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.Status", meta_status},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause", meta_status_cause},
    {"io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails", meta_status_details},
    {NULL, NULL},
};
