"""
The web page of one instance: what `kiteway status` and `kiteway top` show, with the last hour, for a browser.

It is a separate process, the third child of the supervisor, and reads only the sockets that those commands read. So
nothing that a browser does reaches the control plane or Envoy. docs/design/dashboard.md has the reasons.
"""
