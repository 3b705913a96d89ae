"""What is kept: the ledger's rows, the archive's files, and both readable only for whoever may."""
