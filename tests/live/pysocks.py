"""Connects stdin and stdout to a target, with PySocks.

Arguments: SOCKS4 or SOCKS5, proxy host, proxy port, target host, target port[, user[, password]]
"""

import socket
import sys
import threading

import socks

version, proxy_host, proxy_port, host, port, *login = sys.argv[1:]
tunnel = socks.socksocket()
tunnel.set_proxy(getattr(socks, version), proxy_host, int(proxy_port), True, *login)
tunnel.connect((host, int(port)))


def send():
    while chunk := sys.stdin.buffer.read1(65536):
        tunnel.sendall(chunk)
    tunnel.shutdown(socket.SHUT_WR)


threading.Thread(target=send, daemon=True).start()
while chunk := tunnel.recv(65536):
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
