"""A copy of the installed neonize package whose library talks to the sandbox network.

Two constants of the Go library decide whom it talks to, and each occurs exactly once in the
file.  Both are replaced in a copy by values of the same length:

* the WebSocket URL "wss://web.whatsapp.com/ws/chat" (30 bytes, a Go string constant), and
* the 32 byte X25519 root key of the server's certificate chain (a Go array variable).

The copy lives in an overlay folder: `OVERLAY/neonize/` holds a symbolic link for every entry of
the real package, and the patched library in place of the original.  neonize loads its library
from the folder of its own `__file__`, so the overlay on PYTHONPATH redirects any program that
imports neonize, without touching that program or the installed package.

Media is different: the server tells the client the hosts (stanza `media_conn`), and the client
asks them over HTTPS.  Go trusts the certificate named by SSL_CERT_FILE, but its runtime reads the
environment that the process was *started* with: assigning os.environ in a running program is too
late.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from .crypto import KeyPair
from .protos import package_dir

OFFICIAL_URL = b"wss://web.whatsapp.com/ws/chat"
OFFICIAL_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


_KEEP = 4  # overlays in a cache beside those in use; each takes as much space as the library


class OverlayError(Exception):
    """The library is not the one this code knows, or the address does not fit into it."""


def padded_url(base: str) -> bytes:
    """`base` with a path that makes it exactly as long as the official URL."""
    url = base.rstrip("/") + "/ws/chat/"
    if len(url) > len(OFFICIAL_URL):
        url = base.rstrip("/") + "/"
    if len(url) > len(OFFICIAL_URL):
        raise OverlayError(f"{base} is too long: at most {len(OFFICIAL_URL) - 1} characters")
    return url.ljust(len(OFFICIAL_URL), "x").encode()


def patch_library(original: bytes, url: str, root_public: bytes) -> bytes:
    """The library with both constants replaced; the length does not change."""
    if len(root_public) != len(OFFICIAL_ROOT):
        raise OverlayError("the root key must have 32 bytes")
    for old, new in ((OFFICIAL_URL, padded_url(url)), (OFFICIAL_ROOT, root_public)):
        if (found := original.count(old)) != 1:
            raise OverlayError(f"{found} occurrences of {old!r}: a library this code does not know")
        original = original.replace(old, new)
    return original


def root_key(cache: Path) -> KeyPair:
    """The key that the overlays of this cache trust; made once, mode 0600."""
    path = cache / "root.key"
    cache.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        building = cache / f"root.key.{os.getpid()}"
        building.touch(mode=0o600)
        building.write_bytes(KeyPair.generate().private)
        try:
            os.link(building, path)
        except FileExistsError:
            pass  # another process was faster
        finally:
            building.unlink()
    return KeyPair.from_private(path.read_bytes())


def build_overlay(url: str, root_public: bytes, cache: Path) -> Path:
    """Create (or reuse) the overlay for this library, URL and key; returns its folder.

    As long as this process lives, no other one removes it from the cache.
    """
    package = package_dir()
    (library,) = [p for p in package.iterdir() if p.suffix in (".so", ".dylib", ".dll")]
    original = library.read_bytes()
    digest = hashlib.sha256(hashlib.sha256(original).digest() + root_public + url.encode())
    overlay = cache.resolve() / f"neonize-{digest.hexdigest()[:16]}"
    if not overlay.exists():
        building = overlay.with_suffix(f".{os.getpid()}")
        shutil.rmtree(building, ignore_errors=True)
        target = building / "neonize"
        target.mkdir(parents=True)
        for entry in package.iterdir():
            if entry != library and entry.name != "__pycache__":
                (target / entry.name).symlink_to(entry.resolve())
        (target / library.name).write_bytes(patch_library(original, url, root_public))
        try:
            building.rename(overlay)
        except OSError:
            shutil.rmtree(building)  # another process was faster
    os.utime(overlay)
    _lock(overlay, fcntl.LOCK_SH)
    _prune(cache.resolve(), overlay)
    return overlay


def _lock(overlay: Path, mode: int) -> int | None:
    """An open directory with a lock, or None; the lock goes with the descriptor or the process."""
    try:
        descriptor = os.open(overlay, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _prune(cache: Path, mine: Path) -> None:
    """Remove the overlays that nobody uses, but for the newest."""
    others = [p for p in cache.glob("neonize-*") if p != mine and not p.suffix]
    for overlay in sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)[_KEEP:]:
        if (descriptor := _lock(overlay, fcntl.LOCK_EX)) is not None:
            shutil.rmtree(overlay, ignore_errors=True)
            os.close(descriptor)


def client_env(overlay: Path, media_certificate: Path, media_host: str) -> dict[str, str]:
    """Environment for a process that shall talk to the sandbox instead of WhatsApp.

    PYTHONPATH holds the overlay alone: who starts the process puts it before its own.
    """
    return {
        "PYTHONPATH": str(overlay),
        "SSL_CERT_FILE": str(media_certificate),
        "WHATSAPP_MEDIA_HOST": media_host,  # for programs that fetch files themselves, without the library
    }
