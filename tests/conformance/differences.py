"""What we answer otherwise than Kubernetes 1.20.2, each with its reason.

One that no longer exists fails the test: the list cannot rot."""

from compare import Difference

# What the fields of an object mean here.
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

DIFFERENCES = FIELDS
