"""The kernel's door: the only room that calls it through ctypes. One module per family of man pages.

Each wrapper is one system call, named as its man page, with no policy in it; failures are OSErrors that name the call
and the path. Chapters: docs/how-it-works
"""
