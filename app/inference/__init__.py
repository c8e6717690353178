"""The Open Inference Protocol (KServe V2): the same readings for clients of inference servers."""
