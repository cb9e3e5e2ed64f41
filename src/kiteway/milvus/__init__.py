"""What Kiteway knows of Milvus: its calls, its wire format, a server to try things on."""
