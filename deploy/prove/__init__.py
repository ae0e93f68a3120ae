"""`golden prove`: one real attack or fault for each of the ten guarantees, against a running stack."""
