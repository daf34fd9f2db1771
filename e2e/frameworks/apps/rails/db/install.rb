require_relative "../config/environment"
devise = AUTH == "devise"
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table :users do |t|
    t.string devise ? :email : :email_address, null: false, index: { unique: true }
    t.string :name
    t.string devise ? :encrypted_password : :password_digest, null: false
    t.datetime :remember_created_at if devise
    t.timestamps
  end
  unless devise
    create_table :sessions do |t|
      t.references :user, null: false
      t.timestamps
    end
  end
end
User.reset_column_information
User.create!((devise ? :email : :email_address) => "grace@example.com", name: "Grace Hopper", password: "cobol-1959")
