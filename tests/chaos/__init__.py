"""Makes every part of a running system fail under load, and counts what clients and Milvus see of it."""
