"""What is asked of tokens once they exist: reports, proofs, repairs, transfers."""
