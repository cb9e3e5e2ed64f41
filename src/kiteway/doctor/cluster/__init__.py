"""
A live cluster: everything of one Milvus release that may be read, and what its addresses show from here.

`reading` asks the API server (only ever ``GET``), `assemble` makes facts of the answers, `look` does both and looks at
the addresses. `look` and `reading` need the extra ``kubernetes``; rules look at `facts` alone.
"""
