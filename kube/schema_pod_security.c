/* schema_pod_security.c - security contexts of pods and containers (Kubernetes API reference, v1.20).
 *
 * Who a process is, is honoured as far as the node can: started as root it may become anybody, as an ordinary user it
 * is that user (cluster/node/identity.h). More rights than an ordinary process has are refused here already. */
#include "schema_tables.h"

static const SchemaField capabilities_fields[] = {
    STRINGS("add", REFUSED("containers have no capabilities")),
    STRINGS("drop"),
    END,
};
const Schema schema_capabilities = {"io.k8s.api.core.v1.Capabilities", capabilities_fields};

static const SchemaField se_linux_options_fields[] = {
    STRING("user"), STRING("role"), STRING("type"), STRING("level"), END,
};
const Schema schema_se_linux_options = {"io.k8s.api.core.v1.SELinuxOptions", se_linux_options_fields};

static const SchemaField seccomp_profile_fields[] = {
    STRING("type", FILLED, REQUIRED, IGNORED("system calls are not filtered"), USUAL("Unconfined")),
    STRING("localhostProfile", KEPT, REFUSED("system calls are not filtered")),
    END,
};
const Schema schema_seccomp_profile = {"io.k8s.api.core.v1.SeccompProfile", seccomp_profile_fields};

static const SchemaField sysctl_fields[] = {
    STRING("name", FILLED, REQUIRED),
    STRING("value", FILLED, REQUIRED),
    END,
};
const Schema schema_sysctl = {"io.k8s.api.core.v1.Sysctl", sysctl_fields};

static const SchemaField windows_options_fields[] = {
    STRING("gmsaCredentialSpecName", KEPT),
    STRING("gmsaCredentialSpec", KEPT),
    STRING("runAsUserName", KEPT),
    END,
};
const Schema schema_windows_security_context_options = {"io.k8s.api.core.v1.WindowsSecurityContextOptions",
                                                        windows_options_fields};

static const SchemaField security_context_fields[] = {
    OBJECT("capabilities", &schema_capabilities, KEPT),
    BOOLEAN("privileged", KEPT, REFUSED("containers gain no privileges")),
    OBJECT("seLinuxOptions", &schema_se_linux_options, KEPT, REFUSED("labels of SELinux are not set")),
    LONG("runAsUser", KEPT),
    BOOLEAN("runAsNonRoot", KEPT),
    BOOLEAN("readOnlyRootFilesystem", KEPT),
    BOOLEAN("allowPrivilegeEscalation", KEPT, REFUSED("containers gain no privileges")),
    LONG("runAsGroup", KEPT),
    STRING("procMount", KEPT, REFUSED("pods see the machine's /proc"), USUAL("Default")),
    OBJECT("windowsOptions", &schema_windows_security_context_options, KEPT, IGNORED("this is no Windows")),
    OBJECT("seccompProfile", &schema_seccomp_profile, KEPT),
    END,
};
const Schema schema_security_context = {"io.k8s.api.core.v1.SecurityContext", security_context_fields};

static const SchemaField pod_security_context_fields[] = {
    OBJECT("seLinuxOptions", &schema_se_linux_options, KEPT, REFUSED("labels of SELinux are not set")),
    LONG("runAsUser", KEPT),
    BOOLEAN("runAsNonRoot", KEPT),
    FIELD("supplementalGroups", FIELD_LIST, .element = FIELD_INTEGER, .wide = true),
    LONG("fsGroup", KEPT),
    LONG("runAsGroup", KEPT),
    LIST("sysctls", &schema_sysctl, REFUSED("the kernel's settings are the machine's")),
    OBJECT("windowsOptions", &schema_windows_security_context_options, KEPT, IGNORED("this is no Windows")),
    STRING("fsGroupChangePolicy", KEPT),
    OBJECT("seccompProfile", &schema_seccomp_profile, KEPT),
    END,
};
const Schema schema_pod_security_context = {"io.k8s.api.core.v1.PodSecurityContext", pod_security_context_fields};
