ActiveModel::SecurePassword.min_cost = true
