if AUTH == "devise"
  Devise.setup do |config|
    require "devise/orm/active_record"
    config.stretches = 1
    config.sign_out_via = :post
  end
end
