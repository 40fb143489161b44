"""Certificates of those who send the requests, signed with openssl by the cluster's own CA."""

import subprocess

USERS = ("viewer", "stranger")
CLIENT = "extendedKeyUsage=clientAuth"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_key(path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


def make_ca(certificate, key):
    make_key(key)
    openssl("req", "-x509", "-new", "-sha256", "-key", key, "-subj", "/CN=conformance", "-days", "30",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", certificate)


def sign(ca, certificate, key, subject, extensions=CLIENT):
    """ca: its (certificate, key)."""
    make_key(key)
    request, wanted = certificate.with_suffix(".csr"), certificate.with_suffix(".extensions")
    openssl("req", "-new", "-sha256", "-key", key, "-subj", subject, "-out", request)
    wanted.write_text(extensions + "\n", encoding="ascii")
    openssl("x509", "-req", "-sha256", "-in", request, "-CA", ca[0], "-CAkey", ca[1], "-days", "30",
            "-CAserial", certificate.with_suffix(".serial"), "-CAcreateserial", "-extfile", wanted, "-out", certificate)
    return {"certificate": certificate, "key": key}


def make(ca, admin, folder, subject):
    """All users of the tables. admin: what it proves itself by; subject: of each other one, with {} for its name."""
    made = {one: sign(ca, folder / f"{one}.pem", folder / f"{one}-key.pem", subject.format(one)) for one in USERS}
    return made | {"admin": admin, "nobody": {}, "impostor": {"token": "this-is-no-token"}}


def of_kubernetes(pki, folder):
    """Users of a real Kubernetes, from its folder of certificates."""
    admin = {"certificate": pki / "admin.crt", "key": pki / "admin.key"}
    return make((pki / "ca.crt", pki / "ca.key"), admin, folder, "/O=conformance/CN={}")
