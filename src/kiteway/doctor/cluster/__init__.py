"""
A live cluster: everything of one Milvus release that may be read, and what its addresses show from here.

`reading` asks the API server (only ever ``GET``), `assemble` turns the answers into facts, `look` does both and probes
the addresses. `look` and `reading` need the extra ``kubernetes``; rules use `facts` alone.
"""
