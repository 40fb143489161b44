/* session.h - who may change things through the pages.
 *
 * A link holds a one-time token: NONCE.MAC, where MAC authenticates the nonce
 * under the secret in the session file. Opening it gives a cookie that holds
 * expiry, nonce and MAC, so that a viewer that was restarted still knows its
 * sessions. The nonces of links that were opened are kept in
 * the viewer's folder, or without one beside the secret.
 *
 * With a password file (a hash as libsodium's crypto_pwhash_str writes it) a
 * session can be had by the password too; beyond loopback it is needed even
 * to look. */
#pragma once

#include <inaetics/http.h>

#define SESSION_SECONDS (7 * 24 * 3600)
#define SESSION_SECRET_MAX 256u
#define SESSION_USED_MAX 4096u /* links opened with one secret; then it must be renewed */

typedef struct Sessions Sessions;

/* Either path may be NULL or empty: then that way in is closed. `folder`: where something may be kept; or NULL or
 * empty. */
int sessions_new(const char *session_file, const char *password_file, const char *folder, Sessions **ret,
                 InaError *error);
Sessions *sessions_free(Sessions *sessions);

/* The request carries a valid session. */
bool sessions_has(const Sessions *sessions, const InaHttpRequest *request);
/* The request may change things: session, own Host and own Origin. Else it is
 * answered (401 or 403, with the reason) and false is returned. */
bool sessions_may_change(const Sessions *sessions, InaHttpRequest *request);
/* The request may look. Else it is sent to the login page and false is returned. */
bool sessions_may_look(const Sessions *sessions, InaHttpRequest *request);
/* Answers GET /?session=TOKEN: sets the cookie and redirects to /dashboard.html, or explains. */
void sessions_open(Sessions *sessions, InaHttpRequest *request, const char *token);
/* Answers POST /login with form field `password`; the check runs in a worker. */
void sessions_login(Sessions *sessions, InaComponent *component, InaHttpRequest *request);
bool sessions_has_password(const Sessions *sessions);

/* The value of a field of an application/x-www-form-urlencoded body; false
 * when absent, too long or badly encoded. */
bool form_field(const InaHttpRequest *request, const char *name, char *ret, size_t size);
