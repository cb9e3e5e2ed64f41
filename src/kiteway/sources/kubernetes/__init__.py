"""
The Kubernetes API as a source: list and watch every kind that Kiteway uses, and report changes.

`source.KubernetesSource` is what the control plane uses; `api.Api` is the connection, which the write-back of status
shares. Both need the extra ``kubernetes``; `config` does not.
"""
