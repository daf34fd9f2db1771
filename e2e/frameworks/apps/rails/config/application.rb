require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"

# "devise", or "generated": methods as the authentication generator of Rails 8 makes them.
AUTH = ENV.fetch("AUTH")
require "devise" if AUTH == "devise"

class Shop < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = "shop" * 16
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  %w[controllers controllers/concerns models].each { |kind| config.paths.add "auth/#{AUTH}/#{kind}", eager_load: true }
  # The recipe's controllers for Devise are beside the app's own.
  Rails.autoloaders.main.ignore(root.join("app/controllers/users")) unless AUTH == "devise"
end
