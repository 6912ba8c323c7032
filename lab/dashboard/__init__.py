"""CloudWatch dashboards of the lab, drawn as AWS's console would."""
