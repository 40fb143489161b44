/* auth_account.c - the roles of service accounts. */
#include "auth.h"

#include "kube/object.h"

#include <string.h>

ApiRole auth_account_role(const json_t *account)
{
    const char *annotated = kube_annotation(account, AUTH_ROLE_ANNOTATION);
    const char *role = annotated ? annotated : kube_name(account);

    if (strcmp(role, "viewer") == 0)
        return ROLE_VIEWER;
    if (strcmp(role, "coordinator") == 0)
        return ROLE_COORDINATOR;
    return annotated && strcmp(role, "admin") == 0 ? ROLE_ADMIN : ROLE_NONE;
}
