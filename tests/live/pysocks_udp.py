"""Sends each line of stdin as a datagram with PySocks, and prints each answer after its source address.

Arguments: proxy host, proxy port, target host, target port[, user, password]
"""

import socket
import sys

import socks

proxy_host, proxy_port, host, port, *login = sys.argv[1:]
relay = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
relay.set_proxy(socks.SOCKS5, proxy_host, int(proxy_port), True, *login)
relay.settimeout(30)
for line in sys.stdin:
    relay.sendto(line.rstrip("\n").encode(), (host, int(port)))
    answer, (source, source_port) = relay.recvfrom(65535)
    print(source, source_port, answer.decode(), flush=True)
