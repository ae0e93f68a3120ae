"""`golden backup` and `golden restore`: what is needed after the worst, and the way back."""
