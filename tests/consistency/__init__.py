"""Histories on a real Milvus through a balancer, and the judge that finds reads with missing or foreign rows."""
