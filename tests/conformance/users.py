"""Who sends the requests: certificates signed by the cluster's own CA."""

import subprocess

GROUPS = {"viewer": "viewers", "stranger": "strangers"}


def sign(pki, folder, name, group):
    key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    quiet = {"check": True, "capture_output": True}
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], **quiet)
    subprocess.run(["openssl", "req", "-new", "-sha256", "-key", key, "-subj", f"/O={group}/CN={name}", "-out", request], **quiet)
    (folder / "extensions").write_text("extendedKeyUsage=clientAuth\n", encoding="ascii")
    subprocess.run(["openssl", "x509", "-req", "-sha256", "-in", request, "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key",
                    "-CAserial", folder / "serial", "-CAcreateserial", "-days", "30",
                    "-extfile", folder / "extensions", "-out", certificate], **quiet)
    return {"certificate": certificate, "key": key}


def make(pki, folder, groups=None):
    """Users of the tables; the new ones' certificates are put into a folder."""
    users = {name: sign(pki, folder, name, group) for name, group in (groups or GROUPS).items()}
    return users | {
        "admin": {"certificate": pki / "admin.crt", "key": pki / "admin.key"},
        "nobody": {},
        "impostor": {"token": "this-is-no-token"},
    }
