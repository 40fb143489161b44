"""Authorities and certificates for tests, by openssl."""
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder):
    """ca.pem and ca-key.pem."""
    folder.mkdir()
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "ca-key.pem")
    openssl("req", "-x509", "-new", "-key", folder / "ca-key.pem", "-subj", "/CN=test", "-days", "2", "-out",
            folder / "ca.pem", "-addext", "keyUsage=critical,keyCertSign")
    return folder


def make_certificate(folder, name, subject, extra="", days=2):
    """NAME.pem and NAME-key.pem, signed by the CA of the folder."""
    key, certificate, request = (folder / f"{name}{end}" for end in ("-key.pem", ".pem", ".csr"))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    key.chmod(0o600)
    openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
    (folder / "extensions").write_text("basicConstraints=CA:FALSE\n" + extra)
    openssl("x509", "-req", "-in", request, "-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem", "-days", days,
            "-CAcreateserial", "-extfile", folder / "extensions", "-out", certificate)


def make_server_certificate(folder, name="provisioning", host="IP:127.0.0.1,DNS:localhost", days=2):
    make_certificate(folder, name, "/CN=server", f"extendedKeyUsage=serverAuth\nsubjectAltName={host}\n", days)
