"""What programs ask for features: the feature server over HTTP, the registry over Feast's protocol.

Belongs here: requests, answers, their description and metrics, which version answers. Does not belong here: sockets and access (`web`), the
client (`client`), what stands in Redis (`stores.online`).
"""
