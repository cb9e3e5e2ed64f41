"""Histories on a real Milvus through a balancer, and the judge that says which reads saw too little or what is not theirs."""
