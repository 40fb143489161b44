"""What we answer otherwise than Kubernetes 1.20.2, each with its reason.

One that no longer exists fails the test: the list cannot rot."""

from compare import MISSING, Difference

# Why; what the fields of an object mean here comes first.
WARNED = "a field that is kept but not honoured is told of in a warning"
HOOKS = "a container's hooks would not be run: a pod that has some is refused"
AFFINITY = "the service proxy gives each connection to any endpoint: a service that wants more is refused"
NAMES = "there is no name service, which is all that an ExternalName would be told to"
LOOPBACK = "the addresses of pods that share one machine are loopback addresses"
STRUCTS = "what differs is not shown as Kubernetes' own Go structs"
DECODER = "the place of the error is shown in the order of our fields"

FIELDS = [
    Difference("pod defaults", "a large one", "headers.warning", WARNED),
    Difference("pod defaults", "with host network", "headers.warning", WARNED),
    Difference("pod defaults", "with a hook", "*", HOOKS),
    Difference("pod updates", "the * may not *", "body.*message", STRUCTS),
    Difference("claims", "it may not change", "body.*message", STRUCTS),
    Difference("services", "with affinity", "*", AFFINITY),
    Difference("services", "list", "body.items.5", AFFINITY),
    Difference("services", "a name elsewhere", "*", NAMES),
    Difference("tables of services", "create a name elsewhere", "*", NAMES),
    Difference("tables of services", "a name elsewhere", "*", NAMES),
    Difference("endpoints", "a loopback address", "*", LOOPBACK),
    Difference("json patch", "to a wrong type", "body.*message", DECODER),
    Difference("nodes", "a quantity that is none", "body.*message", DECODER),
]

FEWER = "The kinds that the cluster serves are these; what is served less is not announced."
OWN_KINDS = "The cluster's own kinds, and metrics, which on a plain Kubernetes an add-on serves."
VERSION = "It says which Kubernetes it follows and what it is; it was not made by Go."
ADDRESS = "The address and port that the server itself listens on."
PAGES = "Kubernetes lists the paths that it would have known; we say that there is no such page."
JSON_ONLY = "The cluster speaks JSON alone, and says so."
MORE_HELPFUL = "Newer versions of Kubernetes word it so, and name the types that would be right."
APPLY = "Server-side apply is not served; kubectl applies on its own side unless told otherwise."
CLIENTS_FAULT = "What the client got wrong is answered as its error (400, 422), not as the server's (500)."
ONCE = "Kubernetes repeats the same cause; we say it once."
NO_TOKEN_SECRETS = "Tokens are handed out by the node (and by TokenRequest, as in later versions), not kept in secrets."
NODE_CONTROLLER = "Notes of Kubernetes' node controller for itself; ours needs none, and gives each node its range of addresses."
NO_PROTECTION = "Claims are protected while pods use them; a volume needs no finalizer of its own."
DESCRIPTIONS = "The columns are described in our own words."
NEGATIVE = "Kubernetes 1.20 stores a negative grace period; as later versions, we do not."

DIFFERENCES = [
    *FIELDS,
    # -- discovery
    *(Difference(scenario, step, "body.groups.*", FEWER, answered=MISSING) for scenario, step in (
        ("discovery", "all groups*"), ("kubectl discovers", "all groups"), ("python client", "groups"))),
    *(Difference(scenario, step, "body.groups.*.k8s.io.versions.1", FEWER, answered=MISSING) for scenario, step in (
        ("discovery", "all groups*"), ("kubectl discovers", "all groups"), ("python client", "groups"))),
    *(Difference(scenario, step, f"body.groups.{group}", OWN_KINDS) for group in ("inaetics.org", "metrics.k8s.io") for scenario, step in (
        ("discovery", "all groups*"), ("kubectl discovers", "all groups"), ("python client", "groups"))),
    Difference("discovery", "group coordination", "body.versions.1", FEWER, answered=MISSING),
    *(Difference(scenario, "*", "body.resources.*", FEWER, answered=MISSING) for scenario in ("discovery", "kubectl discovers")),
    Difference("discovery", "coordination's resources", "body.resources.leases.storageVersionHash",
               "Kubernetes 1.20 stores leases as v1beta1, we as v1."),
    *(Difference("*", step, "body.*", VERSION) for step in ("the version", "the version without credentials", "version")),
    *(Difference("*", step, "body.serverAddressByClientCIDRs.0.serverAddress", ADDRESS) for step in (
        "the versions of the core", "as new kubectl asks", "the core", "a user without a role discovers", "versions of the core")),
    Difference("services", "the API's own", "body.spec.ports.0.targetPort", ADDRESS),
    *(Difference(*where, path, PAGES) for where in (("health", "a check that is not there"), ("unknown paths", "a path"))
      for path in ("body", "headers.content-type")),
    *(Difference("kubectl discovers", "a group that no one serves", path, OWN_KINDS) for path in ("status", "body", "headers.content-type")),
    # -- media types
    Difference("media types of answers", "any application type", "*", "application/* asks for JSON as well: RFC 9110, 12.5.1."),
    Difference("media types of answers", "what is not served", "body.*", MORE_HELPFUL),
    Difference("media types of answers", "a table of an unknown version", "body.message", JSON_ONLY),
    Difference("media types of answers", "an unknown transformation", "body.message", JSON_ONLY),
    Difference("media types of answers", "the metadata of a list alone", "body.items", "An empty list is a list, not null."),
    Difference("patches of other types", "plain json", "body.*", MORE_HELPFUL),
    Difference("patches of other types", "text", "body.*", MORE_HELPFUL),
    Difference("patches of other types", "apply", "*", APPLY),
    Difference("patches of other types", "creating in a type that nobody knows", "body.message", JSON_ONLY),
    Difference("patches of other types", "updating in a type that nobody knows", "body.message", JSON_ONLY),
    # -- errors
    *(Difference("merge patch", "malformed", path, CLIENTS_FAULT) for path in ("status", "body.code", "body.reason")),
    *(Difference("delete", "options that are malformed", path, CLIENTS_FAULT) for path in ("status", "body.code", "body.reason")),
    Difference("watches that cannot be", "a version that is none", "*", CLIENTS_FAULT),
    Difference("services", "without the address", "body.details.causes.*", ONCE),
    Difference("merge patch", "an invalid label", "body.details.causes.*", ONCE, answered=MISSING),
    Difference("finalizers", "adding a finalizer now", "body.details.causes.1", ONCE, answered=MISSING),
    Difference("pages", "a token that is none", "body.message", "Kubernetes' tokens are made otherwise, and so are their errors."),
    Difference("invalid workloads", "a deployment in the wrong version", "body.message", "That version is not known here at all."),
    Difference("who may what", "a user without a role reads an unknown resource", "*", "What is not there is not there for anybody."),
    # -- what differs by design
    Difference("pods with a service account", "the account", "body.secrets", NO_TOKEN_SECRETS, answered=MISSING),
    Difference("pods with a service account", "the token is mounted", "body.spec.*", NO_TOKEN_SECRETS, answered=MISSING),
    Difference("service accounts", "the default one", "body.secrets", NO_TOKEN_SECRETS, answered=MISSING),
    Difference("service accounts", "delete", "body.secrets", NO_TOKEN_SECRETS, answered=MISSING),
    Difference("tables of the rest", "an account", "body.rows.0.cells.1", NO_TOKEN_SECRETS),
    *(Difference(scenario, "*", path, NODE_CONTROLLER) for scenario in ("nodes", "tables of nodes", "kubectl drains")
      for path in ("*metadata.annotations", "*spec.podCIDR", "*spec.podCIDRs")),
    Difference("nodes", "*", "body.metadata.annotations.node.alpha.kubernetes.io/ttl", NODE_CONTROLLER),
    *(Difference(scenario, "*", "body.spec.taints.0.timeAdded", "Only taints that evict have a time.") for scenario in ("nodes", "kubectl drains")),
    *(Difference(scenario, "*", "*metadata.finalizers", NO_PROTECTION, answered=MISSING)
      for scenario in ("volumes", "tables of the rest")),
    *(Difference(scenario, step, "body.metadata.deletion*", NO_PROTECTION, answered=MISSING)
      for scenario, step in (("volumes", "delete"), ("tables of the rest", "delete the volume"))),
    Difference("endpoints", "are empty", "body.metadata.annotations", "A note by which Kubernetes measures its own latency.", answered=MISSING),
    Difference("a namespace that ends", "delete again", "body.status.conditions", "Why a namespace still ends is seen from what is in it.", answered=MISSING),
    Difference("pod deletion", "a negative period", "body.metadata.deletionGracePeriodSeconds", NEGATIVE),
    Difference("*", "*", "*columnDefinitions.*.description", DESCRIPTIONS),
]
