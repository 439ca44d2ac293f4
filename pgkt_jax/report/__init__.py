"""What people look at: pictures of labels and priors, the table of scores, and the HTML page."""
