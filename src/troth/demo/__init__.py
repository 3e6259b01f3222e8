"""The whole story on loopback, with real parts: `troth demo`."""
