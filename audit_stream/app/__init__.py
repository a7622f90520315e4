"""The composition root: settings -> a running worker. Only here ports meet their stores."""
